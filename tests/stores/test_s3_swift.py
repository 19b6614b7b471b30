"""The S3 store on Swift's S3 interface: the second implementation."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.s3 import S3
from imageservice.stores.testing import (
    PATIENCE_S,
    DriverSuite,
    Stream,
    read_all,
)
from tests.stores.buckets import everything, new_name, on_swift
from tests.stores.swift import Swift

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def cold(swift: Swift) -> S3:
    store = on_swift(swift, bucket=new_name(), large_object_chunk_size=5)
    store.create()
    return store


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
