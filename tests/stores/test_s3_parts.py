"""The parts of an upload to S3, on Ceph's gateway and on Swift's S3 interface."""

import contextlib
import threading
import tracemalloc
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from imageservice import errors
from imageservice.stores.bucket import Bucket
from imageservice.stores.driver import BLOCK
from imageservice.stores.parts import Part
from imageservice.stores.s3 import S3
from imageservice.stores.testing import (
    PATIENCE_S,
    REFUSAL,
    Stream,
    Zeros,
    pattern,
    raising,
    read_all,
)
from tests.stores.buckets import emptied, everything, new_name, on, on_swift

pytestmark = pytest.mark.servers

PARTS = 23 * BLOCK + 5
"""Bytes of an upload in five parts of 5 MiB or less."""


@pytest.fixture(params=["ceph", "swift"])
def driver(request: pytest.FixtureRequest) -> Iterator[S3]:
    server = request.getfixturevalue(request.param)
    made = on if request.param == "ceph" else on_swift
    store = made(server, bucket=new_name(), large_object_chunk_size=5)
    with emptied(store):
        yield store


@pytest.mark.parametrize("hint", [PARTS, None])
def test_parts_sent_at_the_same_time_come_back_in_order(driver, hint):
    data = pattern(PARTS)

    written = driver.write("key", Stream(data), hint)

    assert written.size == PARTS
    assert read_all(driver, written.url) == data
    assert read_all(driver, written.url, 5 * BLOCK - 3, 7) == data[5 * BLOCK - 3 :][:7]
    driver.delete(written.url)


@pytest.mark.parametrize("size", [5 * BLOCK - 1, 5 * BLOCK, 5 * BLOCK + 1, 10 * BLOCK])
def test_sizes_around_a_part(driver, size):
    data = pattern(size)

    written = driver.write("key", Stream(data), None)

    assert read_all(driver, written.url) == data
    driver.delete(written.url)


def test_an_upload_of_unknown_size_does_not_sit_in_memory(driver):
    tracemalloc.start()
    try:
        written = driver.write("key", Zeros(200 * BLOCK), None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 64 * BLOCK
    driver.delete(written.url)


@pytest.mark.parametrize("at", [12 * BLOCK, PARTS])
def test_a_stream_that_breaks_after_some_parts_leaves_none(driver, at):
    stream = Stream(pattern(PARTS), at=at, then=raising(REFUSAL))

    with pytest.raises(errors.ContentUnsafe):
        driver.write("key", stream, PARTS)

    assert everything(driver) == []


def test_discard_removes_the_parts_of_a_dead_writer(driver):
    upload = driver._bucket.begin("key", "dead")
    other = driver._bucket.begin("key.2", "alive")

    driver.discard("key")

    assert driver._bucket.uploads("key") == []
    assert driver._bucket.uploads("key.2") == [other]
    assert upload != other
    driver.discard("key.2")


def test_parts_sent_after_a_discard_are_refused(driver):
    stream = Stream(pattern(PARTS), at=12 * BLOCK, then=lambda: driver.discard("key"))

    with pytest.raises(errors.LeaseLost):
        driver.write("key", stream, PARTS)


@pytest.mark.slow
def test_more_uploads_than_one_page_are_all_removed(driver):
    for number in range(1005):
        driver._bucket.begin("key", str(number))

    driver.discard("key")

    assert driver._bucket.uploads("key") == []


def test_a_cancelled_upload_leaves_nothing(driver):
    stream = Stream(pattern(PARTS), at=12 * BLOCK, then=raising(GeneratorExit()))

    with pytest.raises(GeneratorExit):
        driver.write("key", stream, PARTS)

    assert everything(driver) == []


class Counting(Bucket):
    """Counts the parts that are sent; the first two wait for each other."""

    def __init__(self, driver: S3) -> None:
        super().__init__(driver.name, driver._plan)
        self.most = self._now = 0
        self._counting = threading.Lock()
        self._pair = threading.Barrier(2)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._counting:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            yield
        finally:
            with self._counting:
                self._now -= 1

    def send(self, key: str, upload: str, number: int, part: Part) -> Mapping[str, Any]:
        with self._counted():
            if number <= 2:
                self._pair.wait(PATIENCE_S)
            return super().send(key, upload, number, part)


@pytest.mark.parametrize(
    ("chunk", "lanes", "most"),
    [
        pytest.param(5, 3, 3, id="three-lanes"),
        pytest.param(20, 10, 2, id="48-mib"),
    ],
)
def test_parts_are_sent_together_but_never_more_than_may_be(driver, chunk, lanes, most):
    driver._plan = driver._plan._replace(chunk=chunk * BLOCK, lanes=lanes)
    driver._bucket = counting = Counting(driver)

    written = driver.write("key", Zeros(5 * chunk * BLOCK), None)

    assert 2 <= counting.most <= most
    driver.delete(written.url)
