"""Bytes that should be known ones: compared, at their end, with what is on record."""

from typing import NamedTuple

from imageservice import errors
from imageservice.data.hashing import Hashing
from imageservice.domain.image import Image
from imageservice.stores.driver import Buffer, Origin, Reader, Workers


class Expected(NamedTuple):
    """What is on record of an image's bytes; None is not known."""

    image_id: str
    size: int
    checksum: str | None  # MD5, hex
    os_hash_algo: str | None
    os_hash_value: str | None  # hex

    @classmethod
    def of(cls, image: Image) -> "Expected":
        """Raises NoData."""
        if image.size is None:
            raise errors.NoData(image_id=image.id)
        known = (image.checksum, image.os_hash_algo, image.os_hash_value)
        return cls(image.id, image.size, *known)

    @property
    def has_digest(self) -> bool:
        return bool(self.checksum or (self.os_hash_algo and self.os_hash_value))


class Verified:
    """The outermost reader: raises ContentChanged instead of ending, if it must.

    So a driver never makes visible what is not as expected. Use it in a ``with``.
    """

    def __init__(self, inner: Reader, expected: Expected, workers: Workers) -> None:
        self._expected = expected
        self._room = expected.size
        self._hashing = Hashing(inner, expected.os_hash_algo or "sha512", workers)

    @property
    def origin(self) -> Origin | None:
        return self._hashing.origin

    def __enter__(self) -> "Verified":
        return self

    def __exit__(self, *_: object) -> None:
        self._hashing.__exit__()

    def read(self, size: int = -1, /) -> Buffer:
        block = self._hashing.read(size)
        self._room -= len(block)
        if self._room < 0:
            raise errors.ContentChanged(image_id=self._expected.image_id)
        if not len(block):
            self._check()
        return block

    def _check(self) -> None:
        found, wanted = self._hashing.result(), self._expected
        pairs = (
            (found.size, wanted.size),
            (found.md5, wanted.checksum),
            (found.value, wanted.os_hash_algo and wanted.os_hash_value),
        )
        if any(known is not None and known != is_ for is_, known in pairs):
            raise errors.ContentChanged(image_id=wanted.image_id)
