"""The S3 store on Swift's S3 interface: the second implementation."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.s3 import S3
from imageservice.stores.testing import (
    PATIENCE_S,
    DriverSuite,
    Stream,
    Threads,
    pattern,
    read_all,
)
from tests.stores.swift import KEY, USER, Swift
from tests.stores.test_s3 import everything, options

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with Swift(tmp_path_factory.mktemp("swift")) as swift:
        values = options(
            host=swift.url,
            access_key=USER,
            secret_key=KEY,
            bucket=f"images-{uuid.uuid4().hex[:8]}",
            create_bucket_on_put=True,
            large_object_chunk_size=5,
            read_timeout=10,
        )
        store = S3.configured("cold", values, Threads())
        store.create()
        yield store


class TestSwift(DriverSuite):
    test_more_than_five_gibibytes = None  # nothing in it is new here

    @pytest.fixture
    def driver(self, cold: S3) -> S3:
        return cold

    def left(self, driver: S3) -> list[str]:
        return everything(driver)

    def test_of_many_writers_of_one_key_exactly_one_wins(
        self, driver: S3, threads: ThreadPoolExecutor
    ) -> None:
        """More than one may, as Swift looks first and writes then (ADR 0017).

        What is promised here is less: what is read is whole, and of one who won.
        """
        together = threading.Barrier(6)

        def write(number: int) -> str:
            data = bytes([number]) * (BLOCK + number)
            stream = Stream(data, then=lambda: together.wait(PATIENCE_S))
            return driver.write("key", stream, None).url

        writes = [threads.submit(write, number) for number in range(6)]
        won = [n for n, write in enumerate(writes) if write.exception() is None]
        lost = [write.exception() for write in writes if write.exception()]

        assert won
        assert all(isinstance(error, errors.Error) for error in lost)
        data = read_all(driver, writes[won[0]].result())
        assert data[0] in won
        assert data == data[:1] * (BLOCK + data[0])
        driver.discard("key")


@pytest.mark.parametrize("hint", [23 * BLOCK + 5, None])
def test_parts_come_back_in_order(cold: S3, hint: int | None) -> None:
    data = pattern(23 * BLOCK + 5)

    url = cold.write("key", Stream(data), hint).url

    assert read_all(cold, url) == data
    assert read_all(cold, url, 5 * BLOCK - 3, 7) == data[5 * BLOCK - 3 :][:7]
    cold.delete(url)
    assert everything(cold) == []
