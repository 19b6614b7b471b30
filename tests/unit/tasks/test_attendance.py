"""Stores are set up once, looked at again and again, and told of when something changes."""

import logging

import pytest

from imageservice import errors
from imageservice.stores.memory import Memory
from imageservice.stores.registry import Store
from imageservice.stores.testing import Threads
from imageservice.tasks.attendance import INTERVAL_S, Attendance


class Moody(Memory):
    """A store that is down while there are ``words`` for why."""

    words = None
    made = 0

    def create(self):
        self.made += 1

    def check(self):
        if self.words:
            raise errors.StoreUnavailable(store=self.name, reason=self.words)


class Stop:
    """Ends a job after so many rounds, and keeps how long each would have waited."""

    def __init__(self, rounds):
        self.waits = []
        self._rounds = rounds

    def wait(self, timeout):
        self.waits.append(timeout)
        return len(self.waits) >= self._rounds


@pytest.fixture
def store():
    return Store("ram", Moody("ram", Threads()), default=True)


def attended(store, *, is_new=True):
    return Attendance([store], lambda store_id: is_new and store_id == "ram")


def test_a_new_store_is_set_up_once(store):
    attendance = attended(store)
    for _ in range(3):
        attendance.look(store)

    assert store.driver.made == 1


def test_a_store_with_images_is_never_made_anew(store):
    attended(store, is_new=False).look(store)

    assert store.driver.made == 0


def test_a_new_store_that_is_down_is_set_up_when_it_comes(store):
    attendance = attended(store)
    store.driver.words = "it is down"
    attendance.look(store)
    store.driver.words = None
    for _ in range(2):
        attendance.look(store)

    assert store.driver.made == 2  # the first went unanswered, for all we know


def test_each_retry_and_each_change_is_a_line(store, caplog):
    attendance = attended(store)
    with caplog.at_level(logging.INFO):
        attendance.look(store)
        assert caplog.messages == []
        store.driver.words = "it is down"
        attendance.look(store)
        attendance.look(store)
        store.driver.words = None
        attendance.look(store)
        attendance.look(store)

    assert caplog.messages == [
        "store ram does not work: it is down. It is looked at again in 1 s",
        "store ram still does not work: it is down. It is looked at again in 2 s",
        "store ram works again",
    ]


def test_pauses_grow_up_to_the_usual_interval(store):
    job, _ = attended(store).jobs
    store.driver.words = "it is down"
    stop = Stop(9)

    job(stop)

    for wait, longest in zip(
        stop.waits, [1, 2, 4, 8, 16, *4 * [INTERVAL_S]], strict=True
    ):
        assert 0.8 * longest <= wait <= longest


def test_a_store_that_hangs_is_told_of_once_while_it_does(store, caplog):
    attendance = attended(store)
    _, notice = attendance.jobs
    clock = iter([0.0, *100 * [60.0]])
    store.condition._clock = lambda: next(clock)

    def hang():
        notice(Stop(5))
        raise errors.StoreUnavailable(store="ram", reason="no answer")

    store.condition.look(hang)

    assert caplog.messages == [
        "store ram hangs: it has not answered for 60 s. "
        "Requests to it are refused until it answers"
    ]
