"""Web servers of this test process: one that does as told, and one with certificates."""

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"


class Asked:
    """One request as it arrived."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.method = handler.command
        self.path = handler.path
        self.headers = handler.headers


Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers each path as ``paths`` says, notes what it was asked, and ends with the test."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.paths: dict[str, Answer] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def do_GET(self) -> None:
                outer.asked.append(Asked(self))
                answer = outer.paths.get(self.path, status(404))
                with contextlib.suppress(OSError):  # whoever asked has heard enough
                    answer(self)

            do_HEAD = do_GET

            def log_message(self, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: object) -> None:
                pass  # handshakes that the client broke off

            def get_request(self) -> tuple[socket.socket, object]:
                plug, address = super().get_request()
                if context is not None:
                    plug = context.wrap_socket(
                        plug, server_side=True, do_handshake_on_connect=False
                    )
                return plug, address

        self._server = Quiet((LOOPBACK, 0), Handler)
        self.port: int = self._server.server_address[1]
        self._scheme = "https" if context else "http"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def url(self, path: str = "/", host: str = LOOPBACK) -> str:
        return f"{self._scheme}://{host}:{self.port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def running(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(context)
    try:
        yield server
    finally:
        server.close()


# --- answers ---


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def redirect(location: str, code: int = 302) -> Answer:
    return status(code, Location=location)


def whole(data: bytes, **headers: str) -> Answer:
    """As a server that knows no ranges."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data)

    return answer


def ranged(data: bytes) -> Answer:
    """As most servers of files."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        if wanted is None:
            whole(data, Accept_Ranges="bytes")(handler)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last or len(data)) + 1, len(data))
        if start >= len(data):
            status(416, Content_Range=f"bytes */{len(data)}")(handler)
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        handler.send_header("Content-Length", str(stop - start))
        handler.end_headers()
        handler.wfile.write(data[start:stop])

    return answer


def chunked(data: bytes, *, to_the_end: bool = True) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(data), 100_000):
            piece = data[start : start + 100_000]
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if to_the_end:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return answer


def raw(*pieces: bytes, between: Callable[[], object] = lambda: None) -> Answer:
    """Exactly these bytes, and the end of the connection."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        for number, piece in enumerate(pieces):
            if number:
                between()
            handler.wfile.write(piece)
            handler.wfile.flush()
        handler.close_connection = True

    return answer


# --- certificates ---


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context for ``name`` or an address, and the file to verify it with."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "images of a test")])
    now = datetime.datetime.now(datetime.UTC)
    try:
        known: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        known = x509.DNSName(name)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([known]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = folder / f"{name}.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = folder / f"{name}.key"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public
