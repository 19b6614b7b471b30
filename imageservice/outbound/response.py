"""An answer over HTTP/1.1: strict, bounded, and never shorter than it should be."""

import time
from collections.abc import Iterator, Mapping

import httptools

from imageservice.outbound.connection import Connection, Limits, failure
from imageservice.outbound.target import Target

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
        self._buffer = bytearray(BLOCK)
        self._passed = 0  # bytes of the body handed on
        self._parts = _Parts()
        self._read_head(time.monotonic() + limits.read_s)
        self.status: int = self._parts.parser.get_status_code()
        self.headers: Mapping[str, str] = self._parts.headers
        self.size = self._size()

    def _read_head(self, deadline: float) -> None:
        # In small bites: what follows the head may be large and not wanted at all.
        room = HEAD
        while not self._parts.has_head:
            if room <= 0:
                raise failure(self.target, "the head of the answer is too long")
            bite = memoryview(self._buffer)[: min(room, 16 * 1024)]
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
        text = self._parts.headers.get("content-length", "")
        size = int(text) if text.isascii() and text.isdigit() else None
        self._check_total(size or 0)
        return size

    def _check_total(self, size: int) -> None:
        if self._limits.total is not None and size > self._limits.total:
            raise failure(self.target, f"more than {self._limits.total} bytes")

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body in blocks. Raises OutboundFailed when it breaks or ends early."""
        while self._has_body:
            block = self._gather()
            if block:
                self._passed += len(block)
                self._check_total(self._passed)
                yield block
            elif self._parts.is_complete:
                return

    def _gather(self) -> bytes:
        until = time.monotonic() + LINGER_S
        size = sum(len(piece) for piece in self._parts.body)
        view = memoryview(self._buffer)
        time.sleep(0)  # lets other greenlets run: a fast server never makes us wait
        while size < BLOCK and not self._parts.is_complete:
            count = self._connection.receive(view[: BLOCK - size])
            if not count:
                # Also where the end of the connection was to be the end of the data: it
                # cannot be told from a connection that broke.
                raise failure(self.target, "the data ends before it should")
            before = len(self._parts.body)
            self._feed(view[:count])
            size += sum(len(piece) for piece in self._parts.body[before:])
            if time.monotonic() >= until:
                break
        block = b"".join(self._parts.body)
        self._parts.body.clear()
        return block

    def close(self) -> None:
        """Let go of the connection; may be called any number of times."""
        self._connection.close()
        self._parts.body.clear()
