"""Projects take turns, and none has more than its share."""

import contextlib
import threading

import pytest

from imageservice.tasks.turns import Turns

PATIENCE_S = 30


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def turns(clock):
    return Turns(2, clock)


def taken(turns, count=10):
    """Do so much work, one after the other; return what there was."""
    done = []
    for _ in range(count):
        with turns.next() as work:
            done += [] if work is None else [work]
    return done


def test_projects_take_turns(turns):
    for work in ("a1", "a2", "a3", "b1", "b2", "c1"):
        turns.put(work[0], work)

    assert taken(turns) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_images_of_nobody_take_turns_like_a_project(turns):
    for project, work in ((None, "x"), (None, "y"), ("a", "z")):
        turns.put(project, work)

    assert taken(turns) == ["x", "z", "y"]


def test_a_project_has_no_more_than_its_share_under_way(turns):
    for work in ("a1", "a2", "a3", "b1"):
        turns.put(work[0], work)

    with contextlib.ExitStack() as stack:
        under_way = [stack.enter_context(turns.next()) for _ in range(4)]

    assert under_way == ["a1", "b1", "a2", None]
    assert taken(turns) == ["a3"]


def test_what_fails_gives_its_turn_back(turns):
    for work in (1, 2, 3, 4):
        turns.put("a", work)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turns.next():
            raise ZeroDivisionError

    assert taken(turns) == [4]


def test_nothing_is_done_before_it_is_due(turns, clock):
    turns.put("a", "late", 3.0)
    turns.put("a", "later", 5.0)
    turns.put("a", "now")

    assert taken(turns) == ["now"]
    clock.now = 2.9
    assert taken(turns) == []
    clock.now = 5.0
    assert taken(turns) == ["late", "later"]


def test_what_is_void_is_withdrawn_due_or_not(turns, clock):
    for work, delay in ((1, 0), (2, 0), (3, 9), (4, 9)):
        turns.put("a", work, delay)
    turns.put("b", 6)

    assert sorted(turns.withdraw(lambda work: work % 2 == 0)) == [2, 4, 6]
    clock.now = 9.0
    assert taken(turns) == [1, 3]


def test_who_waits_is_woken(turns):
    got = []

    def wait():
        with turns.next(PATIENCE_S) as work:
            got.append(work)

    waiter = threading.Thread(target=wait)
    waiter.start()
    turns.put("a", "work")
    waiter.join(PATIENCE_S / 2)

    assert got == ["work"]


def test_who_waits_for_the_share_of_a_project_is_woken(turns):
    for work in (1, 2, 3):
        turns.put("a", work)
    got, is_asking = [], threading.Event()

    def wait():
        is_asking.set()
        with turns.next(PATIENCE_S) as work:
            got.append(work)

    waiter = threading.Thread(target=wait)
    with turns.next(), turns.next():
        waiter.start()
        assert is_asking.wait(PATIENCE_S)
        assert got == []
    waiter.join(PATIENCE_S / 2)

    assert got == [3]
