"""The body of a request, read from the connection: what ``wsgi.input`` is."""

import re
import sys
from collections.abc import Callable, Iterator

from imageservice import errors
from imageservice.wsgi.incoming import Incoming
from imageservice.wsgi.transport import Gone, TooSlow

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")

EXTRAS = 16 * 1024
"""Bytes of chunk extensions and trailers, which nobody reads, in one body."""

CHUNK_LINE = 1024


class Body:
    """A body of known length; bytes go from the socket straight to the reader.

    ``go_ahead`` sends ``100 Continue``; it is called once, when the application begins
    to read: a request that is refused before that never hears it.

    All reads raise BodyBroken when the client ends early, is too slow or sends nonsense.
    """

    #: Small reads are served from larger ones.
    _reads_ahead = False

    def __init__(
        self,
        incoming: Incoming,
        length: int,
        go_ahead: Callable[[], None] | None = None,
    ) -> None:
        self._incoming = incoming
        self._left = length  # bytes that follow as they are
        self._go_ahead = go_ahead
        self._broken: str | None = None

    @property
    def is_finished(self) -> bool:
        return self._left == 0

    def is_at_most(self, size: int) -> bool:
        """Say whether what is left may be read away: it is small, and it will come."""
        return self._go_ahead is None and self._broken is None and self._left <= size

    def read(self, size: int | None = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end; all without ``size``."""
        wanted = sys.maxsize if size is None or size < 0 else size
        piece = self._take(wanted)
        if len(piece) == wanted:
            return piece
        pieces = []
        while piece:
            pieces.append(piece)
            wanted -= len(piece)
            piece = self._take(wanted)
        return b"".join(pieces)

    def readinto(self, view: memoryview) -> int:
        """Fill ``view`` and return the bytes read, fewer than fit only at the end."""
        filled = 0
        while filled < len(view):
            count = self._take_into(view[filled:])
            if not count:
                break
            filled += count
        return filled

    def readline(self, size: int | None = -1) -> bytes:
        wanted = sys.maxsize if size is None or size < 0 else size
        pieces = []
        while piece := self._take(wanted, line=True):
            pieces.append(piece)
            wanted -= len(piece)
            if piece.endswith(b"\n"):
                break
        return b"".join(pieces)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """Return the lines up to about ``hint`` bytes, as PEP 3333 wants it."""
        lines = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint and total >= hint:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _next(self) -> int:
        """Return how many bytes of the body follow in one run, 0 at the end."""
        return self._left

    def _ready(self) -> int:
        if self._broken is not None:
            raise errors.BodyBroken(reason=self._broken)
        if self._go_ahead is not None:
            go_ahead, self._go_ahead = self._go_ahead, None
            go_ahead()
        return self._next()

    def _take(self, limit: int, *, line: bool = False) -> bytes:
        try:
            limit = min(limit, self._ready())
            if not limit:
                return b""
            piece = self._incoming.take(limit, line=line)
        except Gone as error:
            raise self._gone(error) from error
        self._took(len(piece))
        return piece

    def _take_into(self, view: memoryview) -> int:
        try:
            limit = self._ready()
            if not limit:
                return 0
            count = self._incoming.take_into(view[:limit], well_ahead=self._reads_ahead)
        except Gone as error:
            raise self._gone(error) from error
        self._took(count)
        return count

    def _took(self, count: int) -> None:
        if not count:
            raise self.broken("the client closed the connection")
        self._left -= count

    def _gone(self, error: Gone) -> errors.BodyBroken:
        if isinstance(error, TooSlow):
            return self.broken("the client sent nothing for too long")
        return self.broken("the connection broke")

    def broken(self, reason: str) -> errors.BodyBroken:
        """Make the error, and have every later read raise it again."""
        self._broken = reason
        return errors.BodyBroken(reason=reason)


class ChunkedBody(Body):
    """A body in chunks, whose length is known at its end only.

    Source: RFC 9112, section 7.1, without leave for blanks or bare line feeds.
    """

    _reads_ahead = True

    def __init__(
        self, incoming: Incoming, go_ahead: Callable[[], None] | None = None
    ) -> None:
        super().__init__(incoming, 0, go_ahead)
        self._is_first = True
        self._ended = False
        self._extras = 0

    @property
    def is_finished(self) -> bool:
        return self._ended

    def is_at_most(self, size: int) -> bool:
        """Nobody knows what is left before the end."""
        return self._ended

    def _next(self) -> int:
        if self._left or self._ended:
            return self._left
        if not self._is_first and self._incoming.line(0) is None:
            raise self.broken("a chunk is longer than its size says")
        self._is_first = False
        line = self._incoming.line(CHUNK_LINE)
        match = _CHUNK.fullmatch(line) if line is not None else None
        if match is None:
            raise self.broken("the size of a chunk is malformed or missing")
        self._count_extra(len(match[2] or b""))
        self._left = int(match[1], 16)
        if not self._left:
            self._trailers()
        return self._left

    def _trailers(self) -> None:
        while line := self._incoming.line(EXTRAS):
            self._count_extra(len(line))
            if not _TRAILER.fullmatch(line):
                line = None
                break
        if line is None:
            raise self.broken("the end of the chunks is malformed or missing")
        self._ended = True

    def _count_extra(self, size: int) -> None:
        self._extras += size
        if self._extras > EXTRAS:
            raise self.broken("the chunks have too many extensions or trailers")
