"""What every part of the suite stands on: one store, empty again after each test."""

import abc
import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from imageservice import errors
from imageservice.stores.driver import (
    Capability,
    Driver,
    Written,
)
from imageservice.stores.testing.materials import Stream

Put = Callable[[str, bytes], Written]


class Case(abc.ABC):
    """What all parts of the suite share."""

    @abc.abstractmethod
    def left(self, driver: Any) -> Sequence[str]:
        """Names of all that the back end holds, unfinished data included."""

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
