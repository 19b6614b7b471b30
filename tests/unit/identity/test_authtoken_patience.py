"""How long Keystone is waited for, and by how many."""

import threading
import time

import pytest

from imageservice.identity.patience import Patience


def test_what_comes_in_time_is_passed_on() -> None:
    patience = Patience(30)

    assert patience.call(lambda: 5) == 5
    with pytest.raises(LookupError, match="nobody"):
        patience.call(lambda: fail(LookupError("nobody")))
    with pytest.raises(TimeoutError, match="its own"):
        patience.call(lambda: fail(TimeoutError("its own")))


def fail(error: Exception) -> None:
    raise error


def test_what_takes_longer_is_given_up() -> None:
    over = threading.Event()
    began = time.monotonic()

    with pytest.raises(TimeoutError, match=r"no whole answer within 0\.05 s"):
        Patience(0.05).call(lambda: over.wait(30))

    over.set()
    assert time.monotonic() - began < 10


def test_questions_that_were_given_up_hold_their_places_until_they_end() -> None:
    over, asked = threading.Event(), []
    patience = Patience(0.05, at_once=2)

    for _ in range(2):
        with pytest.raises(TimeoutError, match="no whole answer"):
            patience.call(lambda: over.wait(30))
    with pytest.raises(TimeoutError, match="too many"):
        patience.call(lambda: asked.append(1))
    over.set()

    assert asked == []
    end = time.monotonic() + 10
    while not asked and time.monotonic() < end:
        try:
            patience.call(lambda: asked.append(1))
        except TimeoutError:
            continue
    assert asked
