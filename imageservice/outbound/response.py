"""An answer over HTTP/1.1: strict, bounded, and never shorter than it should be."""

import time
from collections.abc import Iterator, Mapping

import httptools

from imageservice.outbound.connection import Connection, Limits, failure
from imageservice.outbound.target import Target
from imageservice.stores.driver import Buffer

BLOCK = 1024 * 1024
"""Bytes that are handed on at a time, when they come fast enough."""

LINGER_S = 0.25
"""Seconds that bytes may lie here to become a block."""

HEAD = 64 * 1024
"""Bytes of the head of an answer, those of interim answers included."""


class _Parts:
    """What the parser found so far; it must not raise from within.

    Interim answers (1xx) pass by unseen.
    """

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.headers: dict[str, str] = {}
        self.has_head = False
        self.is_complete = False
        self.body: list[bytes] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # else a trailer, which means nothing here
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            before = self.headers.get(key)
            self.headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        if self.parser.get_status_code() < 200:
            self.headers.clear()
        else:
            self.has_head = True

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.is_complete = self.has_head


class Response:
    """The head of an answer, and its body to be iterated over once.

    ``status`` is final, never 1xx. Names of ``headers`` are in lower case. ``size`` is
    what Content-Length says, None if there is none. The bytes are those of the body as
    they were sent: nothing is decompressed.
    """

    def __init__(
        self, target: Target, connection: Connection, limits: Limits, method: str
    ) -> None:
        self.target = target
        self._connection = connection
        self._limits = limits
        self._has_body = method != "HEAD"
        self._parts = _Parts()
        self._read_head(time.monotonic() + limits.read_s)
        self.status: int = self._parts.parser.get_status_code()
        self.headers: Mapping[str, str] = self._parts.headers
        self.size = self._size()

    def _read_head(self, deadline: float) -> None:
        # In small bites: what follows the head may be large and not wanted at all.
        room, buffer = HEAD, memoryview(bytearray(16 * 1024))
        while not self._parts.has_head:
            if room <= 0:
                raise failure(self.target, "the head of the answer is too long")
            bite = buffer[:room]
            count = self._connection.receive(bite, deadline)
            if not count:
                raise failure(self.target, "closed before an answer")
            room -= count
            self._feed(bite[:count])

    def _feed(self, data: memoryview) -> None:
        try:
            self._parts.parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise failure(self.target, "answers with another protocol") from error
        except httptools.HttpParserError as error:
            # Behind the end there may be anything; the connection is not used again.
            if not self._parts.is_complete:
                raise failure(self.target, f"not HTTP: {error}") from error

    def _size(self) -> int | None:
        if "transfer-encoding" in self._parts.headers:
            return None  # then it would be one too many (RFC 9112, section 6.3)
        text = self._parts.headers.get("content-length", "")
        size = int(text) if text.isascii() and text.isdigit() else None
        self._check_total(size or 0)
        return size

    def _check_total(self, size: int) -> None:
        if self._limits.total is not None and size > self._limits.total:
            raise failure(self.target, f"more than {self._limits.total} bytes")

    def __iter__(self) -> Iterator[Buffer]:
        """Yield the body in blocks. Raises OutboundFailed when it breaks or ends early."""
        if not self._has_body:
            return
        # Of known length, nothing is left to parse: that saves half the copying.
        blocks = self._parsed() if self.size is None else self._counted(self.size)
        passed = 0
        for block in blocks:
            passed += len(block)
            self._check_total(passed)
            if block:
                yield block
            time.sleep(0)  # lets other greenlets run: a fast server never makes us wait

    def _counted(self, size: int) -> Iterator[Buffer]:
        first = self._taken()
        yield first
        left = 0 if self._parts.is_complete else size - len(first)
        while left:
            block = memoryview(bytearray(min(left, BLOCK)))
            filled = 0
            until = time.monotonic() + LINGER_S
            while filled < len(block) and (not filled or time.monotonic() < until):
                filled += self._receive(block[filled:])
            left -= filled
            yield block[:filled]

    def _parsed(self) -> Iterator[Buffer]:
        buffer = memoryview(bytearray(BLOCK))
        while not self._parts.is_complete:
            size = sum(len(piece) for piece in self._parts.body)
            until = time.monotonic() + LINGER_S
            while size < BLOCK and not self._parts.is_complete:
                # What is parsed is never more than what it was parsed from.
                size += (count := self._receive(buffer[: BLOCK - size]))
                self._feed(buffer[:count])
                if time.monotonic() >= until:
                    break
            yield self._taken()
        yield self._taken()

    def _taken(self) -> bytes:
        block = b"".join(self._parts.body)
        self._parts.body.clear()
        return block

    def _receive(self, buffer: memoryview) -> int:
        count = self._connection.receive(buffer)
        if not count:
            # Also where the end of the connection was to be the end of the data: it
            # cannot be told from a connection that broke.
            raise failure(self.target, "the data ends before it should")
        return count

    def close(self) -> None:
        """Let go of the connection; may be called any number of times."""
        self._connection.close()
        self._parts.body.clear()
