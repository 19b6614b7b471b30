"""What is gone, and what stays."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from imageservice import errors
from imageservice.stores.driver import (
    BLOCK,
    Capability,
    Driver,
)
from imageservice.stores.testing.case import Case, Put
from imageservice.stores.testing.materials import Pause, Stream, pattern, read_all


class Removing(Case):
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
