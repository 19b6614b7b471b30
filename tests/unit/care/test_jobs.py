"""Several things are done at a time, no faster than is said, and ended together."""

import threading

import pytest

from imageservice.care import jobs
from imageservice.care.pace import Pace, Stopped

WAIT_S = 30


def test_results_come_in_order_however_long_each_takes():
    last = threading.Event()

    def work(number):
        if number == 0:
            assert last.wait(WAIT_S)
        if number == 3:
            last.set()
        return number

    assert list(jobs.done(work, range(4), 2, Pace(), lambda: None)) == [0, 1, 2, 3]


def test_whoever_waits_is_asked_meanwhile():
    asked = threading.Event()

    (done,) = jobs.done(lambda _: asked.wait(WAIT_S), [1], 1, Pace(), asked.set)

    assert done


def test_an_interrupt_ends_what_is_under_way():
    pace = Pace()

    def work(_):
        pace.wait(WAIT_S)

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(jobs.done(work, range(3), 3, pace, interrupt))

    with pytest.raises(Stopped):
        pace.check()


class Slow(Pace):
    """Notes for how long it would have waited."""

    def __init__(self, rate):
        self.now = 0.0
        super().__init__(rate, lambda: self.now)

    def wait(self, seconds):
        self.now += seconds


def test_bytes_pass_at_the_rate_of_all_together():
    pace = Slow(rate=100)

    for _ in range(5):
        pace.pass_on(50)

    # The first passes at once, each of the others when those before it are paid for.
    assert (pace.now, pace.bytes) == (2.0, 250)
