"""An rbd store on a real Ceph, empty again after each test, and an image in it."""

import contextlib
from collections.abc import Iterator

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.rbd.driver import Rbd
from imageservice.stores.testing import Stream, Threads, pattern
from tests.stores.ceph import Ceph
from tests.stores.rbds import options, pool


@pytest.fixture
def driver(ceph: Ceph) -> Iterator[Rbd]:
    driver = Rbd.configured("rbd", options(ceph), Threads())
    yield driver
    assert pool(driver) == []


@pytest.fixture
def url(driver: Rbd) -> Iterator[str]:
    url = driver.write("key", Stream(pattern(3 * BLOCK)), 3 * BLOCK).url
    yield url
    with contextlib.suppress(errors.KeyNotFound):
        driver.delete(url)
