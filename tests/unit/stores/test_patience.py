"""File systems that hang cost a request its timeout, and never all threads."""

import threading
import time

import pytest

from imageservice import errors
from imageservice.stores.patience import Patience
from imageservice.stores.testing import Threads


def test_results_and_errors_come_back():
    patience = Patience("nfs", Threads(), timeout_s=10, may_hang=1)

    assert patience.call(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        patience.call(lambda: 1 // 0)


def test_without_a_timeout_the_call_is_simply_made():
    assert Patience("nfs", Threads(), timeout_s=0, may_hang=1).call(lambda: 42) == 42


def test_a_call_that_hangs_is_given_up_and_others_are_refused_at_once():
    hanging = threading.Event()
    patience = Patience("nfs", Threads(), timeout_s=0.05, may_hang=1)

    with pytest.raises(errors.StoreUnavailable, match="no answer"):
        patience.call(hanging.wait)
    with pytest.raises(errors.StoreUnavailable, match="already"):
        patience.call(lambda: 42)
    hanging.set()


def test_a_file_system_that_answers_again_is_used_again():
    hanging, returned = threading.Event(), threading.Event()
    patience = Patience("nfs", Threads(), timeout_s=0.05, may_hang=1)

    def hang():
        hanging.wait()
        returned.set()

    with pytest.raises(errors.NoAnswer):
        patience.call(hang)
    assert patience.hangs
    hanging.set()
    assert returned.wait(10)
    until(lambda: not patience.hangs)

    assert patience.call(lambda: 42) == 42


def test_a_call_that_nobody_waits_for_any_more_is_not_made():
    calls = []

    class Busy(Threads):
        """All threads of the lane are taken for now."""

        def start(self, function, /, *args):
            calls.append((function, args))

    patience = Patience("nfs", Busy(), timeout_s=0.05, may_hang=1)
    made = threading.Event()

    with pytest.raises(errors.NoAnswer):
        patience.call(made.set)
    for function, args in calls:
        function(*args)

    assert calls
    assert not made.is_set()
    assert not patience.hangs


def test_the_time_of_one_call_may_be_another():
    patience = Patience("nfs", Threads(), timeout_s=0.05, may_hang=1)

    assert patience.call(lambda: time.sleep(0.2) or 42, within_s=20) == 42


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
