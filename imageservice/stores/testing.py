"""The conformance suite: what every driver must do, ours and others'.

A driver's test is a class with one fixture and one method::

    class TestMyStore(DriverSuite):
        @pytest.fixture
        def driver(self):
            return MyStore("mine", Threads(), ...)

        def left(self, driver):
            return [names of all that the back end holds, unfinished data included]

Needs pytest (``pip install imageservice[test]``), and its mark ``slow`` registered.
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from imageservice import errors
from imageservice.stores.driver import (
    BLOCK,
    Buffer,
    Capability,
    Driver,
    Signal,
    Written,
)

T = TypeVar("T")
Put = Callable[[str, bytes], Written]

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


def read_all(driver: Driver, url: str, *span: int | None) -> bytes:
    chunks = driver.read(url, *span)  # type: ignore[arg-type]
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


class DriverSuite:
    """Inherit from this; see the module's text."""

    def left(self, driver: Any) -> Sequence[str]:
        """Names of all that the back end holds, unfinished data included."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _ends_empty(self, driver: Driver) -> Iterator[None]:
        yield
        assert list(self.left(driver)) == []

    @pytest.fixture
    def put(self, driver: Driver) -> Iterator[Put]:
        """Store something for the length of a test. Override for a store that takes none."""
        urls: list[str] = []

        def put(key: str, data: bytes) -> Written:
            written = driver.write(key, Stream(data), len(data))
            urls.append(written.url)
            return written

        yield put
        for url in urls:
            with contextlib.suppress(errors.KeyNotFound):
                driver.delete(url)

    @pytest.fixture
    def threads(self) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor(16) as threads:
            yield threads

    def needs(self, driver: Driver, capability: Capability) -> None:
        if capability not in driver.capabilities:
            pytest.skip(f"{driver.kind} does not declare {capability}")

    # --- what a driver says about itself ---

    def test_it_describes_itself(self, driver: Driver) -> None:
        assert driver.kind
        assert driver.name
        assert Capability.READ in driver.capabilities
        json.dumps(driver.properties())

    def test_a_healthy_store_passes_its_check(self, driver: Driver) -> None:
        driver.check()

    def test_what_is_not_declared_raises_unsupported(
        self, driver: Driver, put: Put
    ) -> None:
        calls: dict[Capability, Callable[[str], object]] = {
            Capability.WRITE: lambda _: driver.write("key", Stream(b"data"), 4),
            Capability.READ: driver.read,
            Capability.RANGE: lambda url: driver.read(url, 1, 2),
            Capability.SIZE: driver.size,
            Capability.DELETE: driver.delete,
        }
        for capability, call in calls.items():
            if capability not in driver.capabilities:
                with pytest.raises(errors.Unsupported):
                    call(put("key", b"data").url)

    # --- writing and reading back ---

    @pytest.mark.parametrize(
        "hinted", [True, False], ids=["size-known", "size-unknown"]
    )
    @pytest.mark.parametrize("size", EDGES)
    def test_the_same_bytes_come_back(
        self, driver: Driver, put: Put, size: int, hinted: bool
    ) -> None:
        self.needs(driver, Capability.WRITE)
        data = pattern(size)

        written = driver.write("key", Stream(data), size if hinted else None)

        assert written.size == size
        assert read_all(driver, written.url) == data
        json.dumps(dict(written.metadata))
        if Capability.SIZE in driver.capabilities:
            assert driver.size(written.url) == size
        driver.delete(written.url)

    @pytest.mark.parametrize("piece", [1000, BLOCK // 3])
    def test_a_stream_may_come_in_small_pieces(
        self, driver: Driver, piece: int
    ) -> None:
        self.needs(driver, Capability.WRITE)
        data = pattern(BLOCK + 12345)

        written = driver.write("key", Stream(data, piece=piece), len(data))

        assert read_all(driver, written.url) == data
        driver.delete(written.url)

    @pytest.mark.parametrize("hint", [0, 1, BLOCK, 4 * BLOCK])
    def test_a_wrong_hint_never_changes_what_is_stored(
        self, driver: Driver, hint: int
    ) -> None:
        self.needs(driver, Capability.WRITE)
        data = pattern(2 * BLOCK + 5)

        try:
            written = driver.write("key", Stream(data), hint)
        except errors.Error:
            return

        assert written.size == len(data)
        assert read_all(driver, written.url) == data
        driver.delete(written.url)

    def test_a_sparse_stream_keeps_its_zeros(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.WRITE)
        data = bytes(BLOCK) + b"x" + bytes(3 * BLOCK) + b"y" + bytes(70_000)

        assert read_all(driver, put("key", data).url) == data

    @pytest.mark.slow
    def test_more_than_five_gibibytes(self, driver: Driver) -> None:
        """Where that is too much to ask, set this name to None in the driver's test."""
        self.needs(driver, Capability.WRITE)
        size = 5 * 1024 * BLOCK + 5

        written = driver.write("key", Zeros(size), size)

        assert written.size == size
        assert read_all(driver, written.url, size - 3) == bytes(3)
        driver.delete(written.url)

    # --- ranges ---

    @pytest.mark.parametrize(
        ("offset", "length"),
        [
            (0, None),
            (0, 0),
            (0, 1),
            (1, None),
            (BLOCK - 1, 2),
            (BLOCK, BLOCK),
            (2 * BLOCK, None),
            (2 * BLOCK + 4, 1),
            (2 * BLOCK + 5, None),
            (2 * BLOCK + 5, 0),
        ],
    )
    def test_any_range_can_be_read(
        self, driver: Driver, put: Put, offset: int, length: int | None
    ) -> None:
        self.needs(driver, Capability.RANGE)
        data = pattern(2 * BLOCK + 5)
        url = put("key", data).url

        found = read_all(driver, url, offset, length)

        assert found == data[offset : None if length is None else offset + length]

    @pytest.mark.parametrize(("offset", "length"), [(0, 6), (5, 1), (6, None), (2, 4)])
    def test_a_range_beyond_the_data_is_never_cut_short_silently(
        self, driver: Driver, put: Put, offset: int, length: int | None
    ) -> None:
        self.needs(driver, Capability.RANGE)
        url = put("key", b"12345").url

        with pytest.raises(errors.StoreUnavailable):
            read_all(driver, url, offset, length)

    def test_a_file_that_is_offered_holds_the_same_bytes(
        self, driver: Driver, put: Put
    ) -> None:
        data = pattern(BLOCK + 5)
        url = put("key", data).url
        chunks = (
            driver.read(url, 3, BLOCK) if self._ranges(driver) else driver.read(url)
        )
        expected = data[3 : 3 + BLOCK] if self._ranges(driver) else data

        file = getattr(chunks, "file", None)

        if file is not None:
            descriptor, offset, length = file
            assert os.pread(descriptor, length, offset) == expected
        chunks.close()

    def _ranges(self, driver: Driver) -> bool:
        return Capability.RANGE in driver.capabilities

    def test_a_read_may_end_early_and_be_closed_twice(
        self, driver: Driver, put: Put
    ) -> None:
        url = put("key", pattern(3 * BLOCK)).url
        chunks = driver.read(url)

        next(iter(chunks))
        chunks.close()
        chunks.close()

    def test_many_may_read_at_once(
        self, driver: Driver, put: Put, threads: ThreadPoolExecutor
    ) -> None:
        data = pattern(2 * BLOCK + 1)
        url = put("key", data).url

        found = list(threads.map(lambda _: read_all(driver, url), range(8)))

        assert found == [data] * 8

    # --- streams that break ---

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(REFUSAL, id="refused"),
            pytest.param(Interrupted(), id="interrupted"),
            pytest.param(OSError("gone"), id="broken"),
        ],
    )
    @pytest.mark.parametrize("at", [0, 1, BLOCK, 2 * BLOCK + 7])
    @pytest.mark.parametrize(
        "hinted", [True, False], ids=["size-known", "size-unknown"]
    )
    def test_a_stream_that_breaks_leaves_nothing(
        self, driver: Driver, error: BaseException, at: int, hinted: bool
    ) -> None:
        self.needs(driver, Capability.WRITE)
        data = pattern(2 * BLOCK + 7)
        stream = Stream(data, at=at, then=raising(error))

        with pytest.raises(type(error)) as raised:
            driver.write("key", stream, len(data) if hinted else None)

        assert raised.value is error
        assert list(self.left(driver)) == []

    def test_after_a_broken_stream_the_key_can_be_written(
        self, driver: Driver, put: Put
    ) -> None:
        self.needs(driver, Capability.WRITE)
        with pytest.raises(errors.ContentUnsafe):
            driver.write("key", Stream(b"bad", then=raising(REFUSAL)), 3)

        assert read_all(driver, put("key", b"good").url) == b"good"

    def test_nothing_is_visible_before_all_is_there(
        self, driver: Driver, put: Put, threads: ThreadPoolExecutor
    ) -> None:
        self.needs(driver, Capability.WRITE)
        url = put("key", b"before").url
        driver.delete(url)
        pause = Pause()
        stream = Stream(pattern(2 * BLOCK), then=pause)

        writing = threads.submit(driver.write, "key", stream, 2 * BLOCK)
        pause.reached()
        with pytest.raises(errors.KeyNotFound):
            driver.read(url)
        pause.over()

        assert writing.result().size == 2 * BLOCK
        driver.delete(writing.result().url)

    # --- keys ---

    def test_finished_data_is_never_overwritten(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.WRITE)
        url = put("key", b"first").url

        with pytest.raises(errors.KeyExists):
            driver.write("key", Stream(b"second"), 6)

        assert read_all(driver, url) == b"first"

    def test_of_many_writers_of_one_key_exactly_one_wins(
        self, driver: Driver, threads: ThreadPoolExecutor
    ) -> None:
        self.needs(driver, Capability.WRITE)
        together = threading.Barrier(6)

        def write(number: int) -> Written:
            data = bytes([number]) * (BLOCK + number)
            stream = Stream(data, then=lambda: together.wait(PATIENCE_S))
            return driver.write("key", stream, None)

        writes = [threads.submit(write, number) for number in range(6)]
        won = [write.result() for write in writes if write.exception() is None]

        assert len(won) == 1
        assert all(isinstance(lost, errors.KeyExists) for lost in failures(writes))
        data = read_all(driver, won[0].url)
        assert data == data[:1] * (BLOCK + data[0])
        driver.delete(won[0].url)

    def test_writers_of_different_keys_do_not_mix(
        self, driver: Driver, threads: ThreadPoolExecutor
    ) -> None:
        self.needs(driver, Capability.WRITE)
        together = threading.Barrier(6)

        def write(number: int) -> Written:
            stream = Stream(
                bytes([number]) * (2 * BLOCK),
                at=BLOCK,
                then=lambda: together.wait(PATIENCE_S),
            )
            return driver.write(f"key-{number}", stream, 2 * BLOCK)

        for number, written in enumerate(threads.map(write, range(6))):
            assert read_all(driver, written.url) == bytes([number]) * (2 * BLOCK)
            driver.delete(written.url)

    @pytest.mark.parametrize("key", ODD_KEYS, ids=lambda key: ascii(key)[:20])
    def test_an_odd_key_works_or_is_refused(self, driver: Driver, key: str) -> None:
        self.needs(driver, Capability.WRITE)
        try:
            written = driver.write(key, Stream(b"data"), 4)
        except errors.LocationInvalid:
            with pytest.raises(errors.LocationInvalid):
                driver.discard(key)
            return

        assert read_all(driver, written.url) == b"data"
        assert written.url.isprintable()
        driver.delete(written.url)

    def test_odd_keys_do_not_collide(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.WRITE)
        keys = ["a", "a.b", "a%2Eb", "A", "a-b", "a b", "a+b"]

        urls = {key: put(key, key.encode()).url for key in keys}

        for key, url in urls.items():
            assert read_all(driver, url) == key.encode()

    @pytest.mark.parametrize("url", FOREIGN)
    def test_a_foreign_location_is_refused(self, driver: Driver, url: str) -> None:
        for call in (driver.read, driver.size, driver.delete):
            with pytest.raises((errors.LocationInvalid, errors.Unsupported)):
                call(url)

    @pytest.mark.parametrize(
        "tail", ["/..", "/../../etc/passwd", "/x", "/", "\0", "\n"]
    )
    def test_a_location_cannot_be_bent(
        self, driver: Driver, put: Put, tail: str
    ) -> None:
        url = put("key", b"data").url

        with pytest.raises((errors.LocationInvalid, errors.KeyNotFound)):
            driver.read(url + tail)

    # --- removing ---

    def test_what_was_deleted_is_gone(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.DELETE)
        url = put("key", b"data").url

        driver.delete(url)

        for call in (driver.delete, driver.read, driver.size):
            with pytest.raises((errors.KeyNotFound, errors.Unsupported)):
                call(url)

    def test_discarding_nothing_is_fine(self, driver: Driver) -> None:
        self.needs(driver, Capability.WRITE)
        driver.discard("never-written")

    def test_discard_removes_finished_data(self, driver: Driver, put: Put) -> None:
        self.needs(driver, Capability.WRITE)
        url = put("key", b"data").url

        driver.discard("key")

        with pytest.raises(errors.KeyNotFound):
            driver.read(url)

    def test_discard_spares_other_keys(
        self, driver: Driver, put: Put, threads: ThreadPoolExecutor
    ) -> None:
        self.needs(driver, Capability.WRITE)
        url = put("a.b", b"finished").url
        pause = Pause()
        stream = Stream(pattern(2 * BLOCK), at=BLOCK, then=pause)
        writing = threads.submit(driver.write, "a.c", stream, None)
        pause.reached()

        driver.discard("a")
        pause.over()

        assert read_all(driver, url) == b"finished"
        driver.delete(writing.result().url)

    @pytest.mark.parametrize("at", [0, BLOCK, 2 * BLOCK + 1])
    def test_discard_is_a_fence(
        self, driver: Driver, put: Put, threads: ThreadPoolExecutor, at: int
    ) -> None:
        self.needs(driver, Capability.WRITE)
        pause = Pause()
        stream = Stream(pattern(2 * BLOCK + 1), at=at, then=pause)
        writing = threads.submit(driver.write, "key", stream, 2 * BLOCK + 1)
        pause.reached()

        driver.discard("key")
        url = put("key", b"newer").url
        pause.over()

        assert isinstance(writing.exception(), errors.Error)
        assert read_all(driver, url) == b"newer"


def failures(calls: Sequence[Future[Any]]) -> list[BaseException]:
    found = (call.exception() for call in calls)
    return [error for error in found if error is not None]
