"""Bytes that go in, and streams that break on the way."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from imageservice import errors
from imageservice.stores.driver import (
    BLOCK,
    Capability,
    Driver,
)
from imageservice.stores.testing.case import Case, Put
from imageservice.stores.testing.materials import (
    EDGES,
    REFUSAL,
    Interrupted,
    Pause,
    Stream,
    Zeros,
    pattern,
    raising,
    read_all,
)


class Writing(Case):
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
