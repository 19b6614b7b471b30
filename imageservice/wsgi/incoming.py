"""Bytes that a connection has received and nobody has consumed yet."""

import time

from imageservice.wsgi.head import Refused
from imageservice.wsgi.transport import TooSlow, Transport

RECEIVE = 256 * 1024
"""Bytes asked of the socket at a time."""

HEAD_RECEIVE = 16 * 1024


class Incoming:
    """The receiving side of a connection, shared by the heads and bodies of its requests."""

    __slots__ = ("_at", "_pending", "transport")

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._pending = b""
        self._at = 0  # what lies before has been consumed

    def head(self, line_limit: int, head_limit: int, seconds: float) -> bytes:
        """Read a request head with its empty line; nothing if no request comes.

        Raises Refused if it is too long, too slow or has bare line ends.
        """
        data = self._pending[self._at :] or self.transport.await_request(HEAD_RECEIVE)
        if data[:2] == b"\r\n":
            # An empty line before a request is to be ignored (RFC 9112, section 2.2).
            data = data[2:] or self.transport.await_request(HEAD_RECEIVE)
        end = data.find(b"\r\n\r\n")
        if end < 0 and data:
            data, end = self._rest_of_head(data, line_limit, head_limit, seconds)
        if end > line_limit:
            _check_lengths(data[:end], line_limit, head_limit)
        self._pending = data
        self._at = end + 4 if data else 0
        return data[: self._at]

    def _rest_of_head(
        self, data: bytes, line_limit: int, head_limit: int, seconds: float
    ) -> tuple[bytes, int]:
        by = time.monotonic() + seconds
        end = -1
        while end < 0:
            # Without these two, a head that never ends would be waited for.
            if data.count(b"\n") != data.count(b"\r\n"):
                raise Refused("400 Bad Request", "a line ends without CR LF")
            _check_lengths(data, line_limit, head_limit)
            try:
                received = self.transport.recv(HEAD_RECEIVE, by)
            except TooSlow:
                raise Refused(
                    "408 Request Timeout", "the request's head took too long"
                ) from None
            if not received:
                return b"", -1
            searched = max(0, len(data) - 3)
            data += received
            end = data.find(b"\r\n\r\n", searched)
        return data, end

    def take(self, limit: int, *, line: bool = False) -> bytes:
        """Consume 1 to ``limit`` bytes, with ``line`` at most up to a line feed; empty at the end."""
        if self._at >= len(self._pending):
            if not line:
                return self.transport.recv(min(limit, RECEIVE))
            self._fill()
        end = min(self._at + limit, len(self._pending))
        if line:
            end = self._pending.find(b"\n", self._at, end) + 1 or end
        piece = self._pending[self._at : end]
        self._consume(end)
        return piece

    def take_into(self, view: memoryview, *, well_ahead: bool) -> int:
        """Consume up to ``len(view)`` bytes into it; 0 at the end.

        ``well_ahead`` reads more than fits where that saves reads later.
        """
        if self._at >= len(self._pending):
            if not well_ahead or len(view) >= RECEIVE // 4:
                return self.transport.recv_into(view)
            self._fill()
        count = min(len(view), len(self._pending) - self._at)
        view[:count] = memoryview(self._pending)[self._at : self._at + count]
        self._consume(self._at + count)
        return count

    def line(self, limit: int) -> bytes | None:
        """Consume a line and return it without its CR LF; None if it is longer or ends otherwise."""
        line = b""
        while not line.endswith(b"\n"):
            if len(line) > limit + 2 or not (piece := self.take(limit + 3, line=True)):
                return None
            line += piece
        if len(line) > limit + 2 or line[-2:-1] != b"\r":
            return None
        return line[:-2]

    def _fill(self) -> None:
        self._pending = self.transport.recv(RECEIVE)
        self._at = 0

    def _consume(self, end: int) -> None:
        self._at = end
        if end >= len(self._pending):
            self._pending = b""
            self._at = 0


def _check_lengths(head: bytes, line_limit: int, head_limit: int) -> None:
    first, *others = head.split(b"\r\n")
    if len(first) > line_limit:
        raise Refused(
            "414 URI Too Long", f"the request line is longer than {line_limit} bytes"
        )
    if len(head) > head_limit or any(len(line) > line_limit for line in others):
        raise Refused(
            "431 Request Header Fields Too Large",
            f"a header is longer than {line_limit} bytes, or all together than {head_limit}",
        )
