"""The bytes of an object that is read, continued when the connection breaks."""

import logging
from collections.abc import Iterator

from imageservice import errors
from imageservice.stores.bucket import Bucket, Opened
from imageservice.stores.calls import ATTEMPTS, Lost, Unreached, nap
from imageservice.stores.driver import BLOCK

LOG = logging.getLogger(__name__)


class Range:
    """The bytes ``start`` to ``end`` of an object; ``opened`` is at ``start``."""

    def __init__(
        self, bucket: Bucket, key: str, opened: Opened | None, start: int, end: int
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._opened = opened
        self._etag = opened.etag if opened else ""
        self._position = start
        self._end = end
        self._failures = 0  # since the last byte that came

    def __iter__(self) -> Iterator[bytes]:
        while self._position < self._end:
            block = self._block()
            if block:
                self._failures = 0
                self._position += len(block)
                if self._position == self._end:
                    self._compare()
                yield block

    def _block(self) -> bytes:
        """The next bytes, or none if the object has just been opened again."""
        if self._opened is None:
            reason = "the download was closed"
            raise errors.StoreUnavailable(store=self._bucket.store, reason=reason)
        count = min(BLOCK, self._end - self._position)
        try:
            with self._bucket.calls.translated("reading", self._key):
                block: bytes = self._opened.stream.read(count)
            if not block:
                reason = "the data ends before it should"
                raise Lost(store=self._bucket.store, reason=reason)
        except Lost as error:
            self._again(error)
            return b""
        return block

    def _compare(self) -> None:
        """Read the end of the object: the library compares checksums only then."""
        if self._opened and self._end == self._opened.total:
            with self._bucket.calls.translated("reading", self._key):
                self._opened.stream.read(1)

    def _again(self, trouble: errors.Error) -> None:
        """Open the object where we are; raises what went wrong if that does not help."""
        self._release()
        while self._failures < ATTEMPTS:
            nap(self._failures)
            self._failures += 1
            LOG.info("reading %s goes on at byte %d", self._key, self._position)
            try:
                self._opened = self._bucket.open(
                    self._key, self._position, self._end - self._position, self._etag
                )
            except (Lost, Unreached) as error:
                trouble = error
                continue
            if self._opened:
                return
            break
        raise trouble

    def _release(self) -> None:
        opened, self._opened = self._opened, None
        if opened:
            opened.stream.close()

    def close(self) -> None:
        self._end = 0
        self._release()
