"""The memory store passes the suite that every driver passes."""

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.memory import Memory
from imageservice.stores.testing import DriverSuite, Stream, Threads


class TestMemory(DriverSuite):
    test_more_than_five_gibibytes = None

    @pytest.fixture
    def driver(self) -> Memory:
        return Memory("ram", Threads(), room=64 * BLOCK)

    def left(self, driver: Memory) -> list[str]:
        return driver.held()

    @pytest.mark.parametrize("hint", [64 * BLOCK + 1, None])
    def test_what_does_not_fit_is_refused(self, driver, hint):
        with pytest.raises(errors.StoreFull):
            driver.write("key", Stream(bytes(64 * BLOCK + 1)), hint)
