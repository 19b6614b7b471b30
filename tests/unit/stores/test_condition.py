"""What requests learn of a store that somebody else looks after."""

import threading

import pytest

from imageservice import errors
from imageservice.stores.condition import PATIENCE_S, Condition


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def condition(clock):
    return Condition(clock)


def fails(seconds=0.0, clock=None, reason="the disk is gone"):
    def check():
        if clock:
            clock.now += seconds
        raise errors.StoreUnavailable(store="cold", reason=reason)

    return check


def test_a_store_that_nobody_has_looked_at_is_asked(condition):
    condition.require("cold")

    assert condition.trouble is None


def test_a_store_that_fails_at_once_is_asked_all_the_same(condition):
    condition.look(fails())

    condition.require("cold")
    assert condition.trouble == "the disk is gone"


def test_a_store_that_hung_is_not_asked_until_a_look_succeeds(condition, clock):
    condition.look(fails(PATIENCE_S, clock, "no answer in time"))

    with pytest.raises(errors.StoreUnavailable, match=r"'cold'.*no answer in time"):
        condition.require("cold")
    condition.look(lambda: None)
    condition.require("cold")
    assert condition.trouble is None


def test_a_store_that_is_slow_but_works_is_asked(condition, clock):
    def crawl():
        clock.now += 2 * PATIENCE_S

    condition.look(crawl)

    condition.require("cold")


def test_while_a_look_gets_no_answer_requests_are_refused(condition, clock):
    seen = []

    def hang():
        condition.require("cold")  # it is early yet, and no wait: not the first look
        clock.now += 2 * PATIENCE_S
        with pytest.raises(errors.StoreUnavailable, match="not answered for 20 s"):
            condition.require("cold")
        seen.append(condition.silence_s)

    condition.look(lambda: None)
    condition.look(hang)

    assert seen == [2 * PATIENCE_S]
    assert condition.silence_s is None


def test_a_request_waits_until_the_store_is_set_up(condition):
    started, may_end, asked = (threading.Event() for _ in range(3))
    order = []

    def set_up():
        started.set()
        assert may_end.wait(10)
        order.append("set up")

    def request():
        asked.set()
        condition.require("cold")
        order.append("request")

    looking = threading.Thread(target=condition.look, args=(set_up,))
    looking.start()
    assert started.wait(10)
    asking = threading.Thread(target=request)
    asking.start()
    assert asked.wait(10)
    may_end.set()
    looking.join()
    asking.join()

    assert order == ["set up", "request"]


def test_a_driver_that_raises_nonsense_is_in_trouble_and_its_words_are_kept(
    condition, caplog
):
    def check():
        raise ZeroDivisionError("password=secret")

    assert "secret" not in condition.look(check)
    assert "secret" in caplog.text
