"""Bytes of which there are several copies: when one breaks, another goes on there."""

from collections.abc import Callable, Iterator

from imageservice import errors
from imageservice.stores.driver import Buffer, Chunks, file_of

Following = Callable[[int], Chunks]


class Continued:
    """The bytes of a first copy; ``following`` opens the next one behind the bytes passed.

    It raises ``errors.Error`` when there is none left. A server that sends ``file`` by
    itself, and finds that it breaks, takes ``rest`` for what it has not ``sent``.
    """

    def __init__(self, first: Chunks, following: Following, length: int) -> None:
        self._chunks = first
        self._following = following
        self._length = length
        self._passed = 0  # bytes

    def __iter__(self) -> Iterator[Buffer]:
        while True:
            try:
                for chunk in self._chunks:
                    self._passed += len(chunk)
                    yield chunk
            except errors.Error as broken:
                if self._passed == self._length:
                    return
                try:
                    self._go_on()
                except errors.NoData:
                    raise broken from None  # there is no other copy, or it is gone
            else:
                return

    def rest(self) -> Iterator[Buffer]:
        """What has not been sent, from another copy. Raises as ``following``."""
        self._go_on()
        return iter(self)

    def _go_on(self) -> None:
        self._chunks.close()
        self._chunks = self._following(self._passed)

    @property
    def file(self) -> tuple[int, int, int]:
        """Descriptor, offset and length; AttributeError if the first copy is no file."""
        return file_of(self._chunks)

    def sent(self, count: int) -> None:
        """Take note of ``count`` bytes that went out without being iterated."""
        self._passed += count

    def close(self) -> None:
        self._chunks.close()
