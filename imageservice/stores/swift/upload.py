"""One write: a claim, segments under a private name, and a manifest at the end.

What is visible is the manifest alone (a static large object), and Swift takes it only if
every segment that it lists is there, as long as it says and with its checksum. The
claim is what ``discard`` removes to stop a writer: docs/adr/0019.
"""

import hashlib
import json
import logging
import secrets
import threading
from collections.abc import Iterator, Mapping

import swiftclient

from imageservice import errors
from imageservice.stores.driver import BLOCK, Buffer, Reader, Workers
from imageservice.stores.swift.account import Account
from imageservice.stores.swift.faults import translated
from imageservice.stores.swift.names import Place
from imageservice.stores.swift.notes import Notes

LOG = logging.getLogger(__name__)

WRITER = "x-object-meta-image-writer"
"""Header of an image with the token of the write that made it."""

LARGEST = 5 * 1024 * BLOCK
"""Bytes of a segment; more is refused by most Swifts (``max_file_size``)."""

MOST = 1000
"""Segments of a manifest (``max_manifest_segments``)."""

STEADY = 100
"""Segments of a stream of unknown size after which they double: 1000 then hold 3 TiB."""


class _Segment:
    """The next bytes of a stream, at most ``limit``, with their number and MD5.

    A block is digested while it is sent.
    """

    def __init__(
        self, first: Buffer, data: Reader, limit: int, workers: Workers
    ) -> None:
        self.size = 0
        self._first = first
        self._data = data
        self._limit = limit
        self._workers = workers
        self._digested = workers.signal()
        self._digest = hashlib.md5(usedforsecurity=False)

    @property
    def etag(self) -> str:
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[Buffer]:
        block = self._first
        while block:
            self._workers.start(self._update, block)
            self.size += len(block)
            try:
                yield block
            finally:
                self._digested.wait()  # then only it may change
            if self.size == self._limit:
                return
            block = self._data.read(min(BLOCK, self._limit - self.size))

    def _update(self, block: Buffer) -> None:
        try:
            self._digest.update(block)
        finally:
            self._digested.set()


class Upload:
    """A write of ``name`` that is not visible before ``publish``. ``key`` is for errors."""

    def __init__(
        self,
        account: Account,
        workers: Workers,
        place: Place,
        key: str,
        notes: Notes | None,
    ) -> None:
        self.size = 0
        self._account = account
        self._workers = workers
        self._container = place.container
        self._name = place.name
        self._key = key
        self._token = secrets.token_hex(8)
        self._note = notes.note(place, self._token) if notes else None
        self._segments: list[Mapping[str, str | int]] = []
        self._begun: list[str] = []  # names that may exist
        self._published = False  # perhaps: the answer may have got lost

    @property
    def _claim(self) -> str:
        return f"{self._name}/{self._token}"

    @property
    def etag(self) -> str:
        """As Swift gives it for the manifest, or for the empty object."""
        etags = "".join(str(segment["etag"]) for segment in self._segments)
        return hashlib.md5(etags.encode(), usedforsecurity=False).hexdigest()

    def begin(self) -> None:
        """Put the claim down. Raises KeyExists."""
        self._look()
        if self._note:
            self._note.put()
        self._begun.append(self._claim)
        self._account.mark(self._container, self._claim)

    def send(self, data: Reader, limit: int) -> None:
        """Store the whole stream in segments of ``limit`` bytes."""
        while block := data.read(BLOCK):
            number = len(self._segments)
            if number:
                # Renews the token, too, before bytes are sent that cannot be sent again.
                self._hold()
            growth = max(0, number - STEADY + 1) // STEADY if limit < LARGEST else 0
            self._add(
                _Segment(block, data, min(limit << growth, LARGEST), self._workers)
            )

    def _add(self, segment: _Segment) -> None:
        name = f"{self._claim}/{len(self._segments) + 1:08}"
        self._begun.append(name)
        etag = self._account.stream(self._container, name, iter(segment))
        if etag.strip('"') != segment.etag:
            raise self._altered()
        path = f"/{self._container}/{name}"
        self._segments.append(
            {"path": path, "etag": segment.etag, "size_bytes": segment.size}
        )
        self.size += segment.size

    def _hold(self) -> None:
        """Raises LeaseLost if somebody discarded this write."""
        claimed = self._account.head(self._container, self._claim) is not None
        if not claimed or (self._note and not self._note.is_there()):
            raise errors.LeaseLost(image_id=self._key)

    def publish(self, lock: threading.Lock) -> None:
        """Make it visible, unless it was discarded, or another write was first.

        ``lock`` is the one of all writers of this name in this process: Swift looks for
        ``If-None-Match`` first and stores then, Ceph's gateway does not look at all.
        """
        with lock:
            self._hold()
            is_free = self._look()
            try:
                self._put(first=is_free)
            except swiftclient.ClientException as error:
                if error.http_status != 412:
                    raise
                self._published = False
                raise self._exists() from error
            # A discard from now on removes what is visible; one before took the claim.
            self._hold()
            head = self._account.head(self._container, self._name)
            if head is None or head.get(WRITER) != self._token:
                self._published = False
                raise self._exists()
            if self._note and head["etag"].strip('"') != self.etag:
                raise self._altered()
        if self._segments:
            self._release()

    def _put(self, *, first: bool) -> None:
        headers = {WRITER: self._token}
        if first:
            headers["If-None-Match"] = "*"
        self._published = True
        if not self._segments:
            self._account.put(self._container, self._name, b"", headers)
            return
        data = json.dumps(self._segments).encode()
        self._account.put_manifest(self._container, self._name, data, headers)

    def _look(self) -> bool:
        """Whether nothing is visible. Raises KeyExists if an image is.

        A manifest whose writer was fenced just then is none, and can be replaced.
        """
        head = self._account.head(self._container, self._name)
        if head is None:
            return True
        token = head.get(WRITER)
        claim = f"{self._name}/{token}"
        proofs = (f"{claim}/00000001", claim)
        if token is None or any(
            self._account.head(self._container, proof) for proof in proofs
        ):
            raise self._exists()
        return False

    def _exists(self) -> errors.KeyExists:
        return errors.KeyExists(store=self._account.store, key=self._key)

    def _altered(self) -> errors.StoreUnavailable:
        reason = "what it stored is not what was sent"
        return errors.StoreUnavailable(store=self._account.store, reason=reason)

    def _release(self) -> None:
        """Take the claim away; an empty image keeps it, in place of a segment."""
        try:
            with translated(self._account.store, self._key):
                self._account.delete(self._container, self._claim)
        except errors.Error as error:
            # The image is safe, and the claim goes when it is deleted.
            LOG.warning("%s: a claim is left: %s", self._key, error)

    def abandon(self) -> None:
        """Remove what was written, the private names and what they made visible."""
        if self._published and self._account.head(self._container, self._claim):
            # Still ours, so nobody else writes this name: it can be removed unseen.
            # What a lost answer may yet make visible is older than this removal.
            head = self._account.head(self._container, self._name)
            if head is None or head.get(WRITER) == self._token:
                self._account.delete(self._container, self._name)
        for name in reversed(self._begun):
            self._account.delete(self._container, name)
        if self._note:
            self._note.remove()
