"""The client half of the demo: the Image API v2 with nothing but ``http.client``."""

import contextlib
import http.client
import json
import sys
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import IO, Any, Protocol

BLOCK = 1024 * 1024
BAR = 30


class DemoError(Exception):
    """The demo cannot go on; the message is for the newcomer."""


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


class Progress:
    """A bar that fills up: drawn over itself on a terminal, once at the end elsewhere."""

    def __init__(self, label: str, total: int, out: IO[str] | None = None) -> None:
        self.label, self.total, self.done = label, total, 0
        self.out = sys.stdout if out is None else out
        self.started = self.drawn = time.monotonic()

    def add(self, count: int) -> None:
        """Count ``count`` more bytes, and draw ten times a second."""
        self.done += count
        now = time.monotonic()
        if self.out.isatty() and now - self.drawn > 0.1:
            self.drawn = now
            self.out.write("\r" + self._line(now))
            self.out.flush()

    def finish(self) -> None:
        start = "\r" if self.out.isatty() else ""
        self.out.write(start + self._line(time.monotonic()) + "\n")
        self.out.flush()

    def _line(self, now: float) -> str:
        share = self.done / self.total if self.total else 1.0
        bar = ("#" * int(share * BAR)).ljust(BAR, ".")
        mib = self.done / BLOCK
        rate = mib / max(now - self.started, 1e-3)
        return f"{self.label}[{bar}] {share:4.0%}  {mib:.1f} MiB at {rate:.0f} MiB/s   "


class Client:
    """Calls to one server on 127.0.0.1. Every method raises DemoError."""

    def __init__(self, port: int) -> None:
        self.port = port

    def register(self, name: str, disk_format: str) -> str:
        """Create an image without bytes and return its id."""
        document = {
            "name": name,
            "disk_format": disk_format,
            "container_format": "bare",
            "tags": ["demo"],
        }
        return str(self._json("POST", "/v2/images", document)["id"])

    def show(self, image_id: str) -> dict[str, Any]:
        return self._json("GET", f"/v2/images/{image_id}")

    def images(self) -> list[dict[str, Any]]:
        """The first page of the list, newest first."""
        images: list[dict[str, Any]] = self._json("GET", "/v2/images")["images"]
        return images

    def upload(
        self,
        image_id: str,
        file: IO[bytes],
        size: int,
        digest: Digest,
        progress: Progress,
    ) -> None:
        """Send ``size`` bytes, digesting what is sent."""

        def blocks() -> Iterator[bytes]:
            while block := file.read(BLOCK):
                digest.update(block)
                yield block
                progress.add(len(block))

        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size),
        }
        with self._call("PUT", f"/v2/images/{image_id}/file", blocks(), headers):
            pass
        progress.finish()

    def download(self, image_id: str, digest: Digest, progress: Progress) -> int:
        """Get the bytes back, digest them and return how many they were."""
        with self._call("GET", f"/v2/images/{image_id}/file") as answer:
            while block := answer.read(BLOCK):
                digest.update(block)
                progress.add(len(block))
        progress.finish()
        return progress.done

    def _json(self, method: str, path: str, document: object = None) -> dict[str, Any]:
        body = None if document is None else json.dumps(document).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        with self._call(method, path, body, headers) as answer:
            parsed: dict[str, Any] = json.loads(answer.read())
        return parsed

    @contextlib.contextmanager
    def _call(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[http.client.HTTPResponse]:
        """Send one request on a connection of its own; the answer is a success."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            try:
                # A refusal in mid-upload closes the connection under our hands; what
                # the server had to say can still be read.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, path, body, headers)
                answer = connection.getresponse()
                if answer.status >= 300:
                    said = answer.read(2000).decode(errors="replace")
                    raise DemoError(
                        f"{method} {path} was answered {answer.status}: {said}"
                    )
                yield answer
            except (OSError, http.client.HTTPException) as error:
                raise DemoError(f"{method} {path} broke off: {error!r}") from error
