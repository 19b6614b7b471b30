"""File systems that hang cost a request its timeout, and never all threads."""

import threading

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
    hanging = threading.Event()
    patience = Patience("nfs", Threads(), timeout_s=0.05, may_hang=1)
    running = patience._running

    with pytest.raises(errors.StoreUnavailable):
        patience.call(hanging.wait)
    call = next(iter(running))
    hanging.set()
    assert call.signal.wait(10)

    assert patience.call(lambda: 42) == 42
