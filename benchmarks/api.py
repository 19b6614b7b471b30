"""The calls that the benchmarks make, on one connection that is kept."""

import contextlib
import http.client
import json
import os
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

BLOCK = 1024 * 1024
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Api:
    """One server of the Image API v2 on this machine."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.hostname not in LOOPBACK or parts.port is None:
            raise SystemExit(f"{url}: only http://127.0.0.1:PORT is measured.")
        self.address = (parts.hostname, parts.port)
        self.headers = dict(headers)
        self.connection = self._connect()

    def call(self, method: str, path: str, document: object = None) -> bytes:
        """Make one call and return its body. Ends the program if it is refused."""
        body, headers = None, self.headers
        if document is not None:
            body = json.dumps(document).encode()
            headers = {**headers, "Content-Type": "application/json"}
        try:
            return _send(self.connection, method, path, body, headers)
        except (OSError, http.client.HTTPException):
            # A server that does not keep connections closes without a word (uWSGI).
            self.connection.close()
            self.connection = self._connect()
            return _send(self.connection, method, path, body, headers)

    def json(self, method: str, path: str, document: object = None) -> Any:
        return json.loads(self.call(method, path, document))

    def create(self, **attributes: object) -> str:
        base = {"disk_format": "raw", "container_format": "bare"}
        return str(self.json("POST", "/v2/images", base | attributes)["id"])

    def upload(self, image_id: str, mib: int) -> None:
        """Send ``mib`` blocks of 1 MiB that cannot be compressed."""

        def blocks() -> Iterator[bytes]:
            block = os.urandom(BLOCK)
            for _ in range(mib):
                yield block

        headers = {
            **self.headers,
            "Content-Type": "application/octet-stream",
            "Content-Length": str(mib * BLOCK),
        }
        path = f"/v2/images/{image_id}/file"
        with contextlib.closing(self._connect()) as connection:
            _send(connection, "PUT", path, blocks(), headers)

    def download(self, image_id: str) -> int:
        """Get the bytes, drop them and return their number."""
        buffer = bytearray(BLOCK)
        total = 0
        with contextlib.closing(self._connect()) as connection:
            path = f"/v2/images/{image_id}/file"
            connection.request("GET", path, headers=self.headers)
            answer = connection.getresponse()
            while count := answer.readinto(buffer):
                total += count
        return total

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.address, timeout=600)


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | Iterator[bytes] | None,
    headers: Mapping[str, str],
) -> bytes:
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise SystemExit(f"{method} {path}: {answer.status} {content[:300]!r}")
    return content


def header(text: str) -> tuple[str, str]:
    """Parse ``Name: value`` of the command line."""
    name, colon, value = text.partition(":")
    if not colon:
        raise ValueError(text)
    return name.strip(), value.strip()
