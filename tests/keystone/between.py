"""Stands between a daemon and Keystone: passes everything on, until told to fail."""

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

from tests.identity.keystone import Keystone


class Drip(NamedTuple):
    """Bytes that come one by one; ``pause`` is in seconds."""

    data: bytes
    pause: float


#: What is sent instead of an answer: raw bytes, or nothing at all and the line is held.
Trouble = bytes | Drip | None


def answer(
    status: str, body: bytes, kind: str = "application/json", more: str = ""
) -> bytes:
    """An answer as it goes over the line."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Between:
    """``url`` is that of Keystone seen through it, used as a context."""

    def __init__(self, keystone: Keystone) -> None:
        between, real = self, f"127.0.0.1:{keystone.port}"

        class Handler(BaseHTTPRequestHandler):
            def serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                self.close_connection = True
                checks = (self.command, self.path.partition("?")[0]) == (
                    "GET",
                    "/v3/auth/tokens",
                )
                if between.failing and (checks or not between.checks_only):
                    between.fail(self)
                else:
                    self.pass_on(body)

            do_GET = do_POST = do_HEAD = serve

            def pass_on(self, body: bytes) -> None:
                asked = http.client.HTTPConnection(real)
                with contextlib.closing(asked):
                    asked.request(self.command, self.path, body, dict(self.headers))
                    reply = asked.getresponse()
                    # The catalog must lead here, not past us.
                    found = reply.read().replace(real.encode(), between.place.encode())
                self.send_response_only(reply.status)
                for name, value in reply.getheaders():
                    if name.lower() not in ("content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(found)))
                self.end_headers()
                self.wfile.write(found)

            def log_message(self, *_: object) -> None:
                pass

        self.failing = self.checks_only = False
        self._trouble: Trouble = None
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.place = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.place}/v3"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    @contextlib.contextmanager
    def trouble(self, trouble: Trouble, *, checks_only: bool) -> Iterator[None]:
        """Fail within this context: all requests, or those that check tokens."""
        self._trouble, self._over = trouble, threading.Event()
        self.failing, self.checks_only = True, checks_only
        try:
            yield
        finally:
            self.failing = False
            self._over.set()

    def fail(self, handler: BaseHTTPRequestHandler) -> None:
        if self._trouble is None:
            self._over.wait(60)
            return
        with contextlib.suppress(OSError):
            if isinstance(self._trouble, bytes):
                handler.wfile.write(self._trouble)
                return
            data, pause = self._trouble
            for byte in data:
                handler.wfile.write(bytes([byte]))
                if self._over.wait(pause):
                    return
