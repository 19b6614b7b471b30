"""Requests of the hammer: short ones, and uploads that a test holds in its hands."""

import contextlib
import http.client
import json
import socket
import struct
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from imageservice.stores import folders
from tests import people

PROJECTS = {person.project: f"{person.project}-1" for person in people.PEOPLE.values()}
PATCH = "application/openstack-images-v2.1-json-patch"
TIMEOUT_S = 60


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    url: str,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    who: str = "owner",
) -> Answer:
    """Make one request on a connection of its own; ``body`` is bytes or becomes JSON."""
    host, port = address(url)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    given = people.headers(who, PROJECTS) | dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        kind = PATCH if method == "PATCH" else "application/json"
        given.setdefault("Content-Type", kind)
    try:
        connection.request(method, path, body, given)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def address(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def create(url: str, **attributes: object) -> str:
    """Make an image that can take data, and return its path."""
    image = {
        "id": str(uuid.uuid4()),
        "disk_format": "raw",
        "container_format": "bare",
        **attributes,
    }
    answer = call(url, "POST", "/v2/images", image)
    assert answer.status == 201, answer
    return f"/v2/images/{image['id']}"


def show(url: str, image: str) -> dict[str, Any]:
    answer = call(url, "GET", image)
    assert answer.status == 200, answer
    document: dict[str, Any] = answer.json
    return document


def put(url: str, image: str, data: bytes) -> int:
    """Upload data in one go and return the status."""
    headers = {"Content-Type": "application/octet-stream"}
    return call(url, "PUT", f"{image}/file", data, headers).status


def download(url: str, image: str) -> bytes:
    answer = call(url, "GET", f"{image}/file")
    assert answer.status == 200, answer
    return answer.body


class Upload:
    """An upload whose bytes are sent when the test says so; chunked without a size."""

    def __init__(
        self,
        url: str,
        image: str,
        size: int | None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._socket = socket.create_connection(address(url), timeout=TIMEOUT_S)
        self._chunked = size is None
        length = (
            "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
        )
        headers = people.headers("owner", PROJECTS) | dict(headers or {})
        lines = [
            f"PUT {image}/file HTTP/1.1",
            "Host: test",
            length,
            "Content-Type: application/octet-stream",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def send(self, data: bytes) -> None:
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._socket.sendall(data)

    def end(self) -> int:
        """Say that this is all, and return the status."""
        if self._chunked:
            with contextlib.suppress(ConnectionError):  # it may be answered, and closed
                self._socket.sendall(b"0\r\n\r\n")
        return self.status()

    def status(self) -> int:
        """Wait for the answer's status."""
        return self.answer()[0]

    def answer(self) -> tuple[int, bytes]:
        """Wait for the answer; return its status and body."""
        answer = http.client.HTTPResponse(self._socket)
        answer.begin()
        return answer.status, answer.read()

    def is_answered(self) -> bool:
        """Tell whether an answer lies there already."""
        self._socket.setblocking(False)
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        finally:
            self._socket.settimeout(TIMEOUT_S)

    def local_port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def close(self) -> None:
        """Go away as a client does that was ended."""
        self._socket.close()

    def reset(self) -> None:
        """Go away as a machine does that lost its network."""
        linger = struct.pack("ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()


def until(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until something is true that tells nobody, and return how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"after {seconds} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - started


def status_is(url: str, image: str, status: str) -> Callable[[], bool]:
    return lambda: bool(show(url, image)["status"] == status)


def stored(folder: Path) -> set[str]:
    """Return the names of all files with data in a store, finished or not."""
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    return names - {folders.MARK}


def stored_of(folder: Path, image: str) -> set[str]:
    """Return the names of the files in a store that belong to one image."""
    return {file for file in stored(folder) if name(image) in file}


def name(image: str) -> str:
    """Return the id in an image's path, which is its file's name."""
    return image.rpartition("/")[2]
