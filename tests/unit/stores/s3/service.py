"""A small S3 service in this process, which fails as it is told."""

import contextlib
import http.server
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qs, unquote, urlsplit

from imageservice.stores.s3 import S3
from imageservice.stores.testing import Threads

WRITER = "x-amz-meta-imageservice-writer"


@dataclass
class Object:
    data: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Service:
    """One bucket, without ranges. ``faults`` maps a request to what happens to it, once each.

    A request is named ``PUT .publishing/key``, ``POST key?uploads``, ``POST key?uploadId``
    and so on. Faults: ``lost``, obeyed and not answered; ``last``, the same, and nobody
    listens any more; ``farewell``, obeyed and answered, and nobody listens any more;
    ``slow``, obeyed and answered half a second later; a number, not obeyed and answered with this status; ``504 later``,
    answered so and obeyed by ``catch_up``.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.uploads: dict[str, tuple[str, dict[str, str]]] = {}  # id: key, headers
        self.parts: dict[tuple[str, int], bytes] = {}
        self.faults: dict[str, list[str]] = {}
        self.seen: list[str] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._late: list[tuple[str, str, dict[str, str], bytes]] = []
        self._server: http.server.ThreadingHTTPServer | None = None
        self.port = 0

    def stops(self) -> None:
        """Nobody listens."""
        server, self._server = self._server, None
        if server:
            # The loop that waits for connections would keep it open a little longer.
            server.socket.shutdown(socket.SHUT_RDWR)
            server.socket.close()
            threading.Thread(target=server.shutdown, daemon=True).start()

    def starts(self) -> None:
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                service.serve(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

            def log_message(self, *arguments: object) -> None:
                pass

        address = ("127.0.0.1", self.port)
        self._server = server = http.server.ThreadingHTTPServer(address, Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def serve(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in request.headers.items()}
        name = self._name(request.command, request.path)
        fault = self._fault(name)
        request.close_connection = True
        if fault.endswith("later"):
            self._late.append((request.command, request.path, headers, body))
        if fault[:3].isdigit():
            self._answer(request, int(fault[:3]), {}, b"")
            return
        with self._lock:
            answer = self._obey(request.command, request.path, headers, body)
        if fault in ("last", "farewell"):
            self.stops()
        if fault == "slow":
            time.sleep(0.5)
        if fault in ("", "farewell", "slow"):
            self._answer(request, *answer)

    def catch_up(self) -> None:
        """Do what was answered 504 and is being done."""
        for late in self._late:
            self._obey(*late)
        self._late.clear()

    def _name(self, method: str, target: str) -> str:
        url = urlsplit(target)
        key = unquote(url.path).removeprefix("/images").removeprefix("/")
        query = parse_qs(url.query, keep_blank_values=True)
        marks = [
            mark for mark in ("uploads", "partNumber", "uploadId") if mark in query
        ]
        return f"{method} {key}" + (f"?{marks[0]}" if marks else "")

    def _fault(self, name: str) -> str:
        with self._lock:
            self.seen.append(name)
            faults = self.faults.get(name)
            return faults.pop(0) if faults else ""

    def _answer(
        self,
        request: http.server.BaseHTTPRequestHandler,
        status: int,
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        with contextlib.suppress(OSError):
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value)
            if "Content-Length" not in headers:
                request.send_header("Content-Length", str(len(body)))
            request.send_header("Connection", "close")
            request.end_headers()
            request.wfile.write(body)

    def _obey(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        key = self._name(method, target)[len(method) + 1 :].partition("?")[0]
        url = urlsplit(target)
        query = {
            name: value[0]
            for name, value in parse_qs(url.query, keep_blank_values=True).items()
        }
        meta = {name: value for name, value in headers.items() if name == WRITER}
        if "uploadId" in query:
            return self._upload(method, key, query, body)
        if "uploads" in query and method == "POST":
            number = str(next(self._numbers))
            self.uploads[number] = (key, meta)
            return 200, {}, _xml("R", f"<UploadId>{number}</UploadId>")
        if "uploads" in query:
            listed = "".join(
                f"<Upload><Key>{key}</Key><UploadId>{each}</UploadId></Upload>"
                for each, (key, _) in self.uploads.items()
            )
            return 200, {}, _xml("R", listed)
        if method == "PUT" and "if-none-match" in headers and key in self.objects:
            return 412, {}, _xml("Error", "<Code>PreconditionFailed</Code>")
        if method == "PUT":
            self.objects[key] = Object(body, meta)
            return 200, {"ETag": '"e"'}, b""
        if method == "DELETE":
            self.objects.pop(key, None)
            return 204, {}, b""
        return self._read(method, key)

    def _upload(
        self, method: str, key: str, query: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        number = query["uploadId"]
        if number not in self.uploads:
            return 404, {}, _xml("Error", "<Code>NoSuchUpload</Code>")
        if method == "PUT":
            self.parts[number, int(query["partNumber"])] = body
            return 200, {"ETag": '"e"'}, b""
        _, meta = self.uploads.pop(number)
        if method == "POST":
            parts = sorted(part for part in self.parts if part[0] == number)
            data = b"".join(self.parts[part] for part in parts)
            self.objects[key] = Object(data, meta)
            return 200, {}, _xml("R", "<ETag>e</ETag>")
        return 204, {}, b""

    def _read(self, method: str, key: str) -> tuple[int, dict[str, str], bytes]:
        if not key:
            return 200, {}, b""
        found = self.objects.get(key)
        if found is None:
            return (
                404,
                {},
                b"" if method == "HEAD" else _xml("Error", "<Code>NoSuchKey</Code>"),
            )
        headers = {
            "Content-Length": str(len(found.data)),
            "Last-Modified": formatdate(usegmt=True),
            "ETag": '"e"',
            **found.headers,
        }
        return 200, headers, b"" if method == "HEAD" else found.data


def _xml(root: str, inside: str) -> bytes:
    return f'<?xml version="1.0"?><{root}>{inside}</{root}>'.encode()


@contextlib.contextmanager
def running() -> Iterator[Service]:
    service = Service()
    service.starts()
    try:
        yield service
    finally:
        service.stops()


def store(service: Service, **changed: object) -> S3:
    """A store on it."""
    given = {
        "host": f"http://127.0.0.1:{service.port}",
        "access_key": "who",
        "secret_key": "whose",
        "bucket": "images",
        "bucket_url_format": "path",
        "read_timeout": 5,
    }
    values = {f"s3_store_{name}": value for name, value in (given | changed).items()}
    defaults = {opt.dest: opt.default for opt in S3.OPTS}
    return S3.configured("cold", defaults | values, Threads())
