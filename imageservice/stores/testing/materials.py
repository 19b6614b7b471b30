"""What the suite, and tests of drivers beside it, are made of."""

import threading
import types
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from http.client import HTTPConnection, HTTPSConnection
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import pytest

from imageservice import errors
from imageservice.stores.driver import (
    BLOCK,
    Buffer,
    Driver,
    Signal,
)

T = TypeVar("T")

PATIENCE_S = 20.0
"""Until a test that waits for another thread gives up."""


class Flag:
    """A ``Signal`` between plain threads."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def wait(self, timeout: float | None = None) -> bool:
        raised = self._event.wait(timeout)
        self._event.clear()
        return raised


class Threads:
    """``Workers`` for a process in which every request has a thread of its own."""

    def run(self, function: Callable[..., T], /, *args: Any) -> T:
        return function(*args)

    def start(self, function: Callable[..., object], /, *args: Any) -> None:
        threading.Thread(target=function, args=args, daemon=True).start()

    def lane(self, limit: int) -> "Threads":
        return self

    def signal(self) -> Signal:
        return Flag()


class Stream:
    """A reader of ``data`` in pieces, which it hands out in one buffer used over and over.

    On reaching byte ``at``, and at the end if that is None, it calls ``then`` once.
    """

    def __init__(
        self,
        data: bytes,
        *,
        piece: int = BLOCK,
        at: int | None = None,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        self._data = data
        self._buffer = bytearray(piece)
        self._position = 0
        self._at = len(data) if at is None else at
        self._then: Callable[[], object] | None = then

    def read(self, size: int = -1, /) -> Buffer:
        if self._position >= self._at and self._then:
            then, self._then = self._then, None
            then()
        count = len(self._buffer) if size < 0 else min(size, len(self._buffer))
        stop = self._at if self._then else len(self._data)
        piece = self._data[self._position : min(self._position + count, stop)]
        self._buffer[:] = bytes(len(self._buffer))  # whoever kept it has lost it
        self._buffer[: len(piece)] = piece
        self._position += len(piece)
        return memoryview(self._buffer)[: len(piece)]


class Zeros:
    """A reader of ``size`` zeros that costs no memory."""

    def __init__(self, size: int) -> None:
        self._rest = size
        self._block = bytes(BLOCK)

    def read(self, size: int = -1, /) -> Buffer:
        count = min(self._rest, BLOCK if size < 0 else min(size, BLOCK))
        self._rest -= count
        return memoryview(self._block)[:count]


class Pause:
    """Stops the thread that calls it until another lets it go on."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._over = threading.Event()

    def __call__(self) -> None:
        self._reached.set()
        assert self._over.wait(PATIENCE_S), "nobody let the writer go on"

    def reached(self) -> None:
        assert self._reached.wait(PATIENCE_S), "the writer did not come so far"

    def over(self) -> None:
        self._over.set()


class Interrupted(BaseException):
    """As KeyboardInterrupt, or what ends a greenlet: not an Exception."""


def raising(error: BaseException) -> Callable[[], None]:
    def then() -> None:
        raise error

    return then


def pattern(size: int) -> bytes:
    """Bytes without long repeats, and not all of one block the same."""
    return b"".join(number.to_bytes(8, "big") for number in range(size // 8 + 1))[:size]


def read_all(
    driver: Driver, url: str, offset: int = 0, length: int | None = None
) -> bytes:
    chunks = driver.read(url, offset, length)
    try:
        return b"".join(bytes(chunk) for chunk in chunks)
    finally:
        chunks.close()


REFUSAL = errors.ContentUnsafe(reason="a test says so")

EDGES = [
    pytest.param(0, id="empty"),
    pytest.param(1, id="one-byte"),
    pytest.param(BLOCK - 1, id="almost-a-block"),
    pytest.param(BLOCK, id="a-block"),
    pytest.param(BLOCK + 1, id="over-a-block"),
    pytest.param(3 * BLOCK + 17, id="blocks-and-a-bit"),
]

FOREIGN = [
    "",
    "nonsense",
    "http://127.0.0.1/image",
    "file:///etc/passwd",
    "file:relative",
    "unknown://store/key",
    "s3://key:secret@host/bucket/key",
]

ODD_KEYS = [
    "",
    ".",
    "..",
    ".hidden",
    "../outside",
    "a/b",
    "/absolute",
    "with space",
    "per%2Fcent",
    "query?x=1#y",
    "plus+amp&",
    "back\\slash",
    "quote'\"",
    "new\nline",
    "nul\0byte",
    "snowman \N{SNOWMAN}",
    "half \ud800",
    "-leading-dash",
    "x" * 200,
    "y" * 5000,
]


class Fetched(NamedTuple):
    status: int
    type: str | None
    body: bytes


def fetched(
    url: str, headers: Mapping[str, str] = types.MappingProxyType({})
) -> Fetched:
    """What a client gets who knows nothing but the URL."""
    parts = urlsplit(url)
    connect = {"http": HTTPConnection, "https": HTTPSConnection}[parts.scheme]
    connection = connect(parts.netloc, timeout=PATIENCE_S)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers=dict(headers))
        answer = connection.getresponse()
        kind = answer.getheader("Content-Type")
        return Fetched(answer.status, kind, answer.read())
    finally:
        connection.close()


def failures(calls: Sequence[Future[Any]]) -> list[BaseException]:
    found = (call.exception() for call in calls)
    return [error for error in found if error is not None]
