"""Bytes on their way into a store: small readers that nest, each with one duty.

The innermost wraps what the server offers, the outermost (``Hashing``) is what a driver
reads. All of them pass on ``readinto``, so that a block is copied once: from the socket
into the buffer that the driver writes. And they pass on ``origin``: none of them changes
any bytes.
"""

import abc
from collections.abc import Callable, Iterable
from typing import Any

from imageservice import errors
from imageservice.data.blocks import filler
from imageservice.data.hashing import Digests, Hashing
from imageservice.stores.driver import BLOCK, Buffer, Origin, Reader, origin_of

__all__ = [
    "Announced",
    "Digests",
    "Guarded",
    "Hashing",
    "Limited",
    "Paced",
    "Passing",
    "Poured",
    "Reserving",
    "Source",
]


class Passing(abc.ABC):
    """A reader that looks at what passes through; ``passed`` says what it looks for."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self._fill = filler(inner)

    @property
    def origin(self) -> Origin | None:
        return origin_of(self._inner)

    def readinto(self, buffer: memoryview, /) -> int:
        count = self._fill(buffer)
        self.passed(count)
        return count

    def read(self, size: int = -1, /) -> Buffer:
        buffer = memoryview(bytearray(BLOCK if size < 0 else min(size, BLOCK)))
        return buffer[: self.readinto(buffer)]

    @abc.abstractmethod
    def passed(self, count: int) -> None:
        """Take note of ``count`` bytes, 0 at the end; raise what should stop them."""


class Source(Passing):
    """The body of a request: ``wsgi.input`` of whatever server there is.

    A connection that breaks is the client's doing, and becomes BodyBroken.
    """

    def __init__(self, wsgi_input: Any) -> None:  # PEP 3333 gives it no type
        super().__init__(wsgi_input)

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            return self._fill(buffer)
        except (OSError, EOFError, ValueError) as error:
            raise errors.BodyBroken(
                reason=str(error) or type(error).__name__
            ) from error

    def passed(self, count: int) -> None:
        """Nothing is counted here."""


class Poured:
    """What a store gives, as a reader: for bytes that go from a store into another."""

    def __init__(self, chunks: Iterable[Buffer]) -> None:
        self._chunks = chunks
        self._blocks = iter(chunks)
        self._rest = memoryview(b"")

    @property
    def origin(self) -> Origin | None:
        return origin_of(self._chunks)

    def read(self, size: int = -1, /) -> Buffer:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._rest = memoryview(block)
        end = len(self._rest) if size < 0 else size
        piece, self._rest = self._rest[:end], self._rest[end:]
        return piece


class Limited(Passing):
    """Lets ``limit`` bytes through, and raises ``error`` with the first that is too much."""

    def __init__(self, inner: Reader, limit: int, error: errors.Error) -> None:
        super().__init__(inner)
        self._room = limit
        self._error = error

    def passed(self, count: int) -> None:
        self._room -= count
        if self._room < 0:
            raise self._error


class Announced(Passing):
    """Raises SizeMismatch unless exactly ``size`` bytes come."""

    def __init__(self, inner: Reader, size: int) -> None:
        super().__init__(inner)
        self._size = size
        self._received = 0

    def passed(self, count: int) -> None:
        self._received += count
        ended_short = count == 0 and self._received < self._size
        if ended_short or self._received > self._size:
            raise errors.SizeMismatch(received=self._received, announced=self._size)


class Paced(Passing):
    """Calls ``pass_on`` with the size of each block: it waits, or raises to end it all."""

    def __init__(self, inner: Reader, pass_on: Callable[[int], None]) -> None:
        super().__init__(inner)
        self._pass_on = pass_on

    def passed(self, count: int) -> None:
        self._pass_on(count)


class Reserving(Passing):
    """Reserves room for bytes of which nobody knows how many come, before they pass.

    ``grow(need, wish)`` reserves up to ``wish`` bytes more and returns how many; it
    raises if not even ``need`` are left. As much again is wished for as has come, within
    LEAST and MOST: few questions, and at most half of what is reserved lies idle.
    """

    LEAST = 8 * 2**20
    MOST = 2**30

    def __init__(self, inner: Reader, grow: Callable[[int, int], int]) -> None:
        super().__init__(inner)
        self._grow = grow
        self._received = 0
        self._reserved = 0

    def passed(self, count: int) -> None:
        self._received += count
        need = self._received - self._reserved
        if need > 0:
            wish = min(max(self._received, self.LEAST), self.MOST)
            self._reserved += self._grow(need, max(need, wish))


class Guarded(Passing):
    """Calls ``check`` at each block; it raises when the bytes are no longer wanted.

    ``at_end`` takes its place at the end of the data.
    """

    def __init__(
        self,
        inner: Reader,
        check: Callable[[], object],
        at_end: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(inner)
        self._check = check
        self._at_end = at_end or check

    def passed(self, count: int) -> None:
        self._check() if count else self._at_end()
