"""Bytes that are watched for those who want to know: when they begin, how many went out."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from imageservice.data.readers import Passing
from imageservice.stores.driver import Buffer, Chunks, Reader, file_of


class Begun(Passing):
    """Calls ``told`` before the first byte is read, or when it is said to ``begin``."""

    def __init__(self, inner: Reader, told: Callable[[], None]) -> None:
        super().__init__(inner)
        self._told = told
        self.has_begun = False

    def begin(self) -> None:
        if not self.has_begun:
            self.has_begun = True
            self._told()

    def readinto(self, buffer: memoryview, /) -> int:
        self.begin()
        return super().readinto(buffer)

    def passed(self, count: int) -> None:
        """Nothing is counted here."""


class Counted:
    """Chunks that say at the end how many bytes of them were sent.

    A chunk counts when the next one is asked for: then the server has sent it. A
    server that sends ``file`` by itself says so with ``sent``.
    """

    def __init__(self, chunks: Chunks, done: Callable[[int], None]) -> None:
        self._chunks = chunks
        self._done: Callable[[int], None] | None = done
        self._count = 0

    def __iter__(self) -> Iterator[Buffer]:
        return self._counted(self._chunks)

    @property
    def file(self) -> tuple[int, int, int]:
        """Descriptor, offset and length; AttributeError if the bytes are no file."""
        return file_of(self._chunks)

    def sent(self, count: int) -> None:
        """Take note of ``count`` bytes that went out without being iterated."""
        self._count += count
        note: Any = getattr(self._chunks, "sent", None)
        if note is not None:
            note(count)

    @property
    def rest(self) -> Callable[[], Iterator[Buffer]]:
        """How to go on when ``file`` breaks; AttributeError if there is no way."""
        chunks: Any = self._chunks  # as ``file``
        go_on: Callable[[], Iterator[Buffer]] = chunks.rest
        return lambda: self._counted(go_on())

    def _counted(self, chunks: Iterable[Buffer]) -> Iterator[Buffer]:
        for chunk in chunks:
            yield chunk
            self._count += len(chunk)

    def close(self) -> None:
        done, self._done = self._done, None
        try:
            self._chunks.close()
        finally:
            if done is not None:
                done(self._count)
