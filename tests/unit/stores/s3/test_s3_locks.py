"""Locks of an S3 store whose service stops, and those of others."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from imageservice import errors
from imageservice.stores.bucket import Bucket
from imageservice.stores.locks import PREFIX, Locks
from imageservice.stores.s3 import S3
from imageservice.stores.testing import Stream
from tests.unit.stores.s3.service import WRITER, Object

LOCK = f"{PREFIX}key"


def write(driver: S3, key: str = "key") -> None:
    driver.write(key, Stream(b"data"), None)


def test_a_service_that_restarts_at_the_end_of_an_upload_blocks_nobody(driver, service):
    service.faults["POST key?uploadId"] = ["504", "504", "last"]
    with pytest.raises(errors.RemainsLeft):
        write(driver)
    assert LOCK in service.objects

    service.starts()
    driver.discard("key")
    write(driver)

    assert set(service.objects) == {"key"}


def test_a_lock_that_was_left_after_success_goes_with_the_next(driver, service):
    service.faults[f"DELETE {LOCK}"] = ["500"] * 3
    write(driver)
    assert LOCK in service.objects

    write(driver, "other")

    assert set(service.objects) == {"key", "other"}


def test_a_lock_whose_taking_was_never_answered_is_not_in_our_way(driver, service):
    service.faults[f"PUT {LOCK}"] = ["lost", "500", "500"]
    with pytest.raises(errors.StoreUnavailable):
        write(driver)
    assert LOCK in service.objects

    write(driver)

    assert set(service.objects) == {"key"}


def test_a_lock_of_another_alone_does_not_mean_that_there_is_data(driver, service):
    service.objects[LOCK] = Object(b"", {WRITER: "another"})

    with pytest.raises(errors.StoreUnavailable, match="being published or discarded"):
        write(driver)

    assert set(service.objects) == {LOCK}


def test_a_lock_that_goes_while_it_is_looked_at_is_tried_again(driver, service):
    """And nothing is removed: it may be a third one's by then."""
    service.faults[f"PUT {LOCK}"] = ["412"]

    with driver._locks.held("key"):
        assert LOCK in service.objects

    assert service.seen.count(f"DELETE {LOCK}") == 1


def test_of_two_who_break_a_lock_one_has_it(driver, service):
    """The second learns late that the lock is old, when the first has broken it."""
    old = formatdate(0, usegmt=True)
    service.objects[LOCK] = Object(b"", {WRITER: "dead", "Last-Modified": old})
    service.faults[f"HEAD {LOCK}"] = ["slow"]
    together = threading.Barrier(2)
    held = []

    def hold():
        locks = Locks(driver._bucket)
        with contextlib.suppress(errors.StoreUnavailable), locks.held("key"):
            held.append(locks)
            together.wait(2)

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(hold)
        while f"HEAD {LOCK}" not in service.seen:
            assert not slow.done()
        quick = pool.submit(hold)
        for one in (slow, quick):
            assert isinstance(one.exception(20), threading.BrokenBarrierError | None)

    assert held
    assert together.broken
    assert service.objects == {}


class Hasty(Locks):
    """Holds every lock for longer than one may."""

    longest_s = 0


def test_the_lock_of_another_is_not_given_back(driver, service):
    with Hasty(driver._bucket).held("key"):
        service.objects[LOCK] = Object(b"", {WRITER: "another"})

    assert service.objects[LOCK].headers[WRITER] == "another"


def test_what_was_left_is_remembered_through_another_outage(driver, service):
    service.faults[f"DELETE {LOCK}"] = ["500"] * 3
    with driver._locks.held("key"):
        pass
    service.stops()
    with pytest.raises(errors.StoreUnavailable), driver._locks.held("key"):
        pass
    service.starts()

    with driver._locks.held("key"):
        assert LOCK in service.objects

    assert service.objects == {}


def test_a_lock_that_was_taken_over_by_another_since_is_not_tidied(driver, service):
    service.faults[f"DELETE {LOCK}"] = ["500"] * 3
    with driver._locks.held("key"):
        pass
    service.objects[LOCK] = Object(b"", {WRITER: "another"})

    with driver._locks.held("other"):
        pass

    assert set(service.objects) == {LOCK}
    assert Bucket(driver.name, driver._plan).find(LOCK)
