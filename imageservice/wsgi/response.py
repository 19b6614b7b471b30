"""The answer to one request: from what a WSGI application returns to bytes on the wire.

A client can always tell a whole answer from a broken one: when the application fails in
the middle, or gives less than it has announced, the connection is aborted.
"""

import email.utils
import logging
import time
import uuid
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from imageservice import errors
from imageservice.stores.driver import Buffer, Workers
from imageservice.wsgi import files
from imageservice.wsgi.head import Environ, Head
from imageservice.wsgi.transport import Gone, Transport

LOG = logging.getLogger(__name__)

Headers = list[tuple[str, str]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

SMALL = 64 * 1024
"""Bytes up to which head and data are copied together and sent at once."""

#: Where the application's filters leave the id of a request.
REQUEST_ID = "openstack.request_id"

FAILED = "The server failed at this request."
LOST = "What was asked for cannot be read at the moment. Try again later."

#: What the connection decides, not the application (PEP 3333: hop-by-hop).
_OURS = frozenset(
    ("connection", "keep-alive", "transfer-encoding", "upgrade", "trailer", "te")
)


class Aborted(Exception):
    """The answer cannot be completed; the connection has to be broken off."""


class Response:
    """Sends one answer. ``may_keep`` is asked for leave to keep the connection, when the head goes."""

    __slots__ = (
        "_chunked",
        "_head",
        "_headers",
        "_left",
        "_may_keep",
        "_status",
        "_transport",
        "has_body",
        "keeps",
    )

    def __init__(
        self, transport: Transport, head: Head, may_keep: Callable[[], bool]
    ) -> None:
        self._transport = transport
        self._head = head
        self._may_keep = may_keep
        self._status = ""
        self._headers: Headers | None = None  # None once the head is sent
        self._left: int | None = None  # bytes still to come, if announced
        self._chunked = False
        self.has_body = True
        self.keeps = False

    @property
    def is_sent(self) -> bool:
        """Whether the head has gone out, and the status with it."""
        return self._headers is None and self._status != ""

    def run(self, app: Wsgi, environ: Environ, workers: Workers) -> None:
        """Call the application and send what it answers.

        Raises Aborted, and Gone when the client has left.
        """
        result = app(environ, self.start)
        try:
            file: files.OpenFile | None = getattr(result, "file", None)
            if file is not None and self._transport.sends_files and self._status:
                self._send_file(files.OpenFile(*file), workers, result)
            else:
                self._send_all(result)
            self._finish()
        finally:
            close: Any = getattr(result, "close", None)  # PEP 3333: optional
            if close is not None:
                close()

    def start(
        self, status: str, headers: Headers, exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """Be ``start_response``."""
        if exc_info is not None:
            try:
                if self.is_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status:
            raise AssertionError("start_response was called twice")
        self._status = status
        self._headers = headers
        code = status[:3]
        self.has_body = (
            self._head.method != "HEAD"
            and code not in ("204", "304")
            and code[0] != "1"
        )
        return self.write

    def write(self, data: Buffer) -> None:
        """Send ``data``, and the head before it."""
        if not data:
            return
        begin = b""
        if self._headers is not None:
            begin = self._begin(None)
        elif not self._status:
            raise AssertionError("data came before start_response")
        if not self.has_body:
            if begin:
                self._transport.send(begin)
            return
        self._send(begin, self._within(data))

    def fail(self, status: str, reason: str, request_id: str) -> None:
        """Answer with an error instead, as long as nothing has been sent."""
        body = f"{reason}\n".encode()
        self._headers = None
        self._status = ""
        self._left = None
        self._chunked = False
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("x-openstack-request-id", request_id),
        ]
        self.start(status, headers)
        self.write(body)

    def _send_all(self, result: Iterable[bytes]) -> None:
        if self._status and not self.has_body:
            return
        if (
            isinstance(result, list | tuple)
            and len(result) == 1
            and self._headers is not None
        ):
            data = result[0]
            begin = self._begin(len(data))
            self._send(begin, self._within(data))
            return
        for data in result:
            self.write(data)
            if not self.has_body:
                break

    def _send_file(self, file: files.OpenFile, workers: Workers, result: Any) -> None:
        """Send ``file``; what is missing, because it breaks, comes from ``result.rest``."""
        note: Callable[[int], object] = getattr(result, "sent", _ignore)
        rest: Callable[[], Iterable[bytes]] | None = getattr(result, "rest", None)
        sent = 0

        def noted(count: int) -> None:
            nonlocal sent
            sent += count
            note(count)

        begin = self._begin(file.length)
        if not self.has_body:
            self._transport.send(begin)
            return
        self._transport.send(begin, more=file.length > 0)
        length = file.length if self._left is None else min(file.length, self._left)
        part = file._replace(length=length)
        try:
            files.send(self._transport, workers, part, noted)
        except OSError:
            if rest is None:
                raise
            LOG.exception("a file broke after %d of %d bytes", sent, length)
        if self._left is not None:
            self._left -= sent
        if sent < length:
            if rest is None:
                raise Aborted(f"the file ended {length - sent} bytes early")
            for data in rest():
                self.write(data)

    def _finish(self) -> None:
        if not self._status:
            raise AssertionError("the application never called start_response")
        if self._headers is not None:
            self._transport.send(self._begin(0))
        if not self.has_body:
            return
        if self._left:
            raise Aborted(f"{self._left} announced bytes are missing")
        if self._chunked:
            self._transport.send(b"0\r\n\r\n")

    def _within(self, data: Buffer) -> Buffer:
        """Hold the application to the length that it has announced."""
        if self._left is None:
            return data
        if len(data) > self._left:
            LOG.error("the application gave more than the announced Content-Length")
            self.keeps = False
            data = data[: self._left]
        self._left -= len(data)
        return data

    def _send(self, begin: bytes, data: Buffer) -> None:
        if self._chunked:
            begin += b"%x\r\n" % len(data)
            end = b"\r\n"
        else:
            end = b""
        if len(data) <= SMALL:
            self._transport.send(b"".join((begin, data, end)))
            return
        if begin:
            self._transport.send(begin, more=True)
        self._transport.send(data, more=bool(end))
        if end:
            self._transport.send(end)

    def _begin(self, length: int | None) -> bytes:
        """Make the head. ``length`` is the body's, if it is known without being announced."""
        assert self._headers is not None
        is_dated = False
        announced: str | None = None
        keeps = self._head.persistent and self._may_keep()
        lines = [f"HTTP/1.1 {self._status}"]
        for name, value in self._headers:
            lower = name.lower()
            if lower == "content-length":
                announced = value
            elif lower in _OURS:
                keeps = keeps and (lower != "connection" or value.lower() != "close")
            else:
                is_dated = is_dated or lower == "date"
                lines.append(f"{name}: {value}")
        if not is_dated:
            lines.append(date())
        keeps = self._frame(lines, announced, length, keeps)
        if not keeps:
            lines.append("Connection: close")
        elif not self._head.is_1_1:
            lines.append("Connection: keep-alive")
        self.keeps = keeps
        return self._encoded(lines)

    def _encoded(self, lines: list[str]) -> bytes:
        breaks = len(lines) + 1
        lines += ("", "")
        text = "\r\n".join(lines)
        if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
            raise AssertionError("a response header has a line break in it")
        encoded = text.encode("latin-1")
        self._headers = None
        return encoded

    def _frame(
        self, lines: list[str], announced: str | None, length: int | None, keeps: bool
    ) -> bool:
        """Add how the client finds the body's end; return whether the connection may go on."""
        if not self.has_body:
            # No length at all with 204 (RFC 9110, section 8.6); with HEAD and 304 only the
            # application knows what the body would have been.
            if announced is not None and self._status[:3] != "204":
                lines.append(f"Content-Length: {announced}")
            return keeps
        if announced is None and length is not None:
            announced = str(length)
        if announced is not None:
            self._left = int(announced)
            lines.append(f"Content-Length: {announced}")
            return keeps
        if self._head.is_1_1:
            self._chunked = True
            lines.append("Transfer-Encoding: chunked")
            return keeps
        return False


class _Clock:
    """The Date line, made once per second."""

    second = -1
    line = ""


def date() -> str:
    """Return the Date line of now."""
    now = int(time.time())
    if now != _Clock.second:
        _Clock.line = f"Date: {email.utils.formatdate(now, usegmt=True)}"
        _Clock.second = now
    return _Clock.line


def answer(response: Response, app: Wsgi, environ: Environ, workers: Workers) -> None:
    """Run the application, and turn its failure into an answer while that is possible.

    Raises Aborted when it is not, and Gone when the client has left.
    """
    try:
        response.run(app, environ, workers)
    except (Aborted, Gone):
        raise
    except errors.Error as error:
        # Bodies that broke and stores that failed: the application answers those itself,
        # unless it had begun to answer already.
        if response.is_sent:
            raise Aborted(str(error)) from error
        if isinstance(error, errors.BodyBroken):
            response.fail("400 Bad Request", str(error), _request_id(environ))
            return
        # What it says of stores and their folders is for the operator.
        request_id = _request_id(environ)
        LOG.error("%s: %s", request_id, error)
        # Or they went between the look whether they are there and the first of them.
        if isinstance(error, (errors.Unavailable, errors.KeyNotFound)):
            response.fail("503 Service Unavailable", LOST, request_id)
        else:
            response.fail("500 Internal Server Error", FAILED, request_id)
    except (
        Exception
    ) as error:  # the outermost frame of a request: nothing is above to care
        request_id = _request_id(environ)
        LOG.exception(
            "%s %s failed, %s",
            environ["REQUEST_METHOD"],
            environ["imageservice.raw_path"],
            request_id,
        )
        if response.is_sent:
            raise Aborted("the application failed") from error
        response.fail("500 Internal Server Error", FAILED, request_id)


def _request_id(environ: Environ) -> str:
    """The id that the application has given the request; a new one if it came to none."""
    found: str | None = environ.get(REQUEST_ID)
    return found or f"req-{uuid.uuid4()}"


def _ignore(count: int) -> None:
    """Take no note: this answer does not ask how many bytes were sent."""
