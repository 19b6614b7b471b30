"""One multipart upload: its parts are sent in parallel, within a bound of memory."""

import logging
import secrets
import threading
from collections.abc import Mapping
from typing import Any

from imageservice import errors
from imageservice.stores.bucket import Bucket
from imageservice.stores.calls import Lost
from imageservice.stores.locks import Locks
from imageservice.stores.parts import WINDOW, Part

LOG = logging.getLogger(__name__)


class Upload:
    """What ``key`` is to be. Only ``publish`` makes anything visible.

    Each part has a thread of the module ``threading``, so a greenlet in a process of
    greenlets. The upload's id is the fence: without it no part and no end is accepted.
    """

    def __init__(self, bucket: Bucket, locks: Locks, key: str, lanes: int) -> None:
        self.size = 0  # bytes so far
        self._bucket = bucket
        self._locks = locks
        self._key = key
        self._lanes = lanes
        self._writer = secrets.token_hex(16)
        self._id = ""
        self._is_uncertain = False  # an upload or an object may be there unknown to us
        self._is_joining = False
        self._changed = threading.Condition()
        self._count = 0  # parts
        self._running = 0  # of them, now
        self._held = 0  # bytes of them
        self._error: BaseException | None = None
        self._sent: dict[int, Mapping[str, Any]] = {}  # by number of the part

    def begin(self) -> None:
        self._is_uncertain = True
        try:
            self._id = self._bucket.begin(self._key, self._writer)
        except errors.Error as error:
            self._is_uncertain = isinstance(error, Lost)
            raise
        self._is_uncertain = False

    def make_room(self, size: int) -> None:
        """Wait until a part of ``size`` bytes may be read. Raises what sending raised."""
        with self._changed:
            while self._running and (
                self._running >= self._lanes or self._held + size > WINDOW
            ):
                self._changed.wait()
            self._complain()

    def _complain(self) -> None:
        if self._error is not None:
            raise self._error

    def add(self, part: Part) -> None:
        """Send a part, in the background."""
        self.size += len(part)
        with self._changed:
            self._running += 1
            self._held += len(part)
            self._count += 1
            number = self._count
        try:
            threading.Thread(
                target=self._send, args=(number, part), daemon=True
            ).start()
        except BaseException:
            self._ended(part)
            raise

    def _send(self, number: int, part: Part) -> None:
        try:
            sent = self._bucket.send(self._key, self._id, number, part)
        except BaseException as error:  # goes to the request
            with self._changed:
                self._error = self._error or error
        else:
            with self._changed:
                self._sent[number] = sent
        finally:
            self._ended(part)

    def _ended(self, part: Part) -> None:
        with self._changed:
            self._running -= 1
            self._held -= len(part)
            part.free()
            self._changed.notify_all()

    def _wait(self) -> None:
        with self._changed:
            while self._running:
                self._changed.wait()

    def publish(self) -> None:
        """Make the object out of all parts. Raises KeyExists, LeaseLost, StoreUnavailable."""
        self._wait()
        self._complain()
        with self._locks.held(self._key):
            if self._bucket.find(self._key):
                raise errors.KeyExists(store=self._bucket.store, key=self._key)
            self._is_joining = self._is_uncertain = True
            self._join()
            self._is_uncertain = False

    def _join(self) -> None:
        parts = [self._sent[number] for number in sorted(self._sent)]
        trouble: errors.Error | None = None
        try:
            self._bucket.join(self._key, self._id, parts)
        except errors.Error as error:
            # The answer may have been lost on the way: then the object is there.
            trouble = error
            self._is_uncertain = isinstance(error, Lost)
        found = self._bucket.find(self._key)
        if found and (found.writer, found.size) == (self._writer, self.size):
            return
        if trouble is None:
            reason = "what it stored is not what was sent"
            raise errors.StoreUnavailable(store=self._bucket.store, reason=reason)
        if not isinstance(trouble, Lost) and not self._is_there():
            raise errors.LeaseLost(image_id=self._key) from trouble
        raise trouble

    def _is_there(self) -> bool:
        return self._id in self._bucket.uploads(self._key)

    def abandon(self) -> None:
        """Leave nothing of it. Raises RemainsLeft if that is not certain."""
        self._wait()  # a part that is under way could arrive after the end
        try:
            if self._is_joining:
                self._withdraw()
            if self._id:
                self._bucket.abort(self._key, self._id)
        except errors.Error as error:
            raise self._remains() from error
        if self._is_uncertain:
            raise self._remains()

    def _withdraw(self) -> None:
        found = self._bucket.find(self._key)
        if found and found.writer == self._writer:
            self._bucket.remove(self._key)

    def _remains(self) -> errors.RemainsLeft:
        LOG.error("store %s: parts of %s may be left", self._bucket.store, self._key)
        reason = "what was sent could not be removed yet"
        return errors.RemainsLeft(store=self._bucket.store, reason=reason)
