"""Events that wait for a broker: in order, bounded, counted when they are dropped."""

import contextlib
import datetime
import subprocess
import sys
import threading
import time

import orjson
import pytest

from imageservice import errors
from imageservice.notifications.outbox import BOUNDS, Bounds, Outbox

DEADLINE_S = 10
HASTY = Bounds(pauses_s=(0.01,))


class Box:
    """A broker that takes what it is given, or refuses, or hangs."""

    def __init__(self):
        self.notices = []
        self.tries = 0
        self.refuses = False
        self.poison = ""  # the type of an event that is never taken
        self.open = threading.Event()
        self.open.set()
        self.is_closed = False

    @property
    def names(self):
        return [notice.event_type for notice in self.notices]

    def send(self, notice):
        self.tries += 1
        self.open.wait(DEADLINE_S)
        if self.refuses or notice.event_type == self.poison:
            raise errors.Unavailable(reason="connection refused")
        self.notices.append(notice)

    def close(self):
        self.is_closed = True


@pytest.fixture
def box():
    made = Box()
    yield made
    made.open.set()


@contextlib.contextmanager
def running(made):
    """Run the jobs of an outbox as the server does; its ``stop`` is set in the end."""
    stop = threading.Event()
    threads = [threading.Thread(target=job, args=(stop,)) for job in made.jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(DEADLINE_S)


def until(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_was_emitted_arrives_in_order_before_the_end(box):
    made = Outbox(box, size=100, retries=-1)
    with running(made):
        for number in range(50):
            made.emit(f"event.{number}", {})

    assert box.names == [f"event.{number}" for number in range(50)]
    assert box.is_closed
    assert made.waiting == 0


def test_the_envelope_is_made_when_the_event_happens(box):
    made = Outbox(box, size=100, retries=-1)
    born = datetime.datetime(2026, 1, 2, 3, 4, 5, 678)
    made.emit("image.update", {"created_at": born, "deleted_at": None}, "ERROR")
    before = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    with running(made):
        pass

    [notice] = box.notices
    assert orjson.loads(notice.payload) == {
        "created_at": "2026-01-02T03:04:05Z",
        "deleted_at": None,
    }
    assert notice.level == "ERROR"
    assert len(notice.message_id) == 36
    form = "%Y-%m-%d %H:%M:%S.%f"
    assert datetime.datetime.strptime(notice.timestamp, form) <= before  # noqa: DTZ007


def test_a_failure_in_words_is_a_json_string(box):
    made = Outbox(box, size=1, retries=-1)
    made.emit("image.upload", "the store is full", "ERROR")
    with running(made):
        pass

    assert orjson.loads(box.notices[0].payload) == "the store is full"


def test_a_full_queue_drops_the_oldest_and_counts_them(box, caplog):
    made = Outbox(box, size=3, retries=-1)
    for name in ("a.a", "a.b", "a.b", "a.c", "a.d", "a.e"):
        made.emit(name, {})
    assert (made.waiting, made.dropped) == (3, 3)

    with running(made):
        pass

    assert box.names == ["a.c", "a.d", "a.e"]
    assert "3 events were dropped (a.b 2, a.a 1), 3 since the start" in caplog.text


def test_large_events_do_not_fill_the_memory(box):
    small = Bounds(queue_bytes=1000, event_bytes=500)
    made = Outbox(box, size=100, retries=-1, bounds=small)

    for _ in range(5):
        made.emit("small.enough", {"x": "x" * 400})
    made.emit("too.large", {"x": "x" * 500})

    assert (made.waiting, made.dropped) == (2, 4)


def test_what_waits_takes_little_more_memory_than_it_is_long():
    grown = subprocess.run(
        [sys.executable, "-c", MANY_WAIT], capture_output=True, check=True
    )

    assert int(grown.stdout) < 2000  # bytes for each event of 1000


#: In a process of its own, whose memory nothing else has been in before.
MANY_WAIT = """
import os
from imageservice.notifications.outbox import Outbox

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

made = Outbox(None, 20_000, -1)
made.emit("first", {})
before = memory()
for _ in range(20_000):
    made.emit("image.create", {"x": "x" * 1000})
print((memory() - before) // 20_000)
"""


def test_what_cannot_be_written_down_is_dropped_and_fails_nobody(box, caplog):
    made = Outbox(box, size=100, retries=-1)

    made.emit("image.update", {"name": "\ud800"})

    assert (made.waiting, made.dropped) == (0, 1)
    assert "image.update cannot be sent" in caplog.text


def test_a_broker_that_comes_back_gets_everything_once(box, caplog):
    caplog.set_level("INFO")
    made = Outbox(box, size=100, retries=-1, bounds=HASTY)
    box.refuses = True
    with running(made):
        made.emit("a", {})
        made.emit("b", {})
        until(lambda: box.tries > 3)
        box.refuses = False
        until(lambda: made.waiting == 0)

    assert box.names == ["a", "b"]
    assert caplog.text.count("events wait for the broker: connection refused") == 1
    assert "the broker takes events again, 1 wait" in caplog.text


def test_an_event_is_dropped_after_its_retries(box):
    made = Outbox(box, size=100, retries=2, bounds=HASTY)
    box.refuses = True
    with running(made):
        made.emit("a", {})
        until(lambda: made.dropped == 1)
        assert box.tries == 3
        box.refuses = False
        made.emit("b", {})

    assert box.names == ["b"]


def test_one_that_the_broker_never_takes_gives_way_when_the_queue_is_full(box):
    box.poison = "a.poison"
    made = Outbox(box, size=3, retries=-1, bounds=HASTY)

    with running(made):
        made.emit("a.poison", {})
        until(lambda: box.tries >= 3)
        for name in ("a.a", "a.b"):
            made.emit(name, {})
        tried = box.tries
        until(lambda: box.tries > tried + 2)
        assert (made.waiting, made.dropped) == (3, 0)
        made.emit("a.c", {})
        until(lambda: made.waiting == 0)

    assert (box.names, made.dropped) == (["a.a", "a.b", "a.c"], 1)


def test_nobody_waits_for_a_broker_that_hangs(box):
    made = Outbox(box, size=10, retries=-1)
    box.open.clear()
    with running(made):
        made.emit("a", {})
        until(lambda: box.tries == 1)

        begun = time.monotonic()
        for _ in range(1000):
            made.emit("b", {})
        assert time.monotonic() - begun < 1

        assert (made.waiting, made.dropped) == (11, 990)
        box.open.set()


def test_the_end_waits_a_bounded_time_and_tells_what_is_lost(box, caplog):
    made = Outbox(box, size=10, retries=-1, bounds=Bounds(drain_s=0.05))
    box.open.clear()
    made.emit("a", {})
    made.emit("b", {})
    stop = threading.Event()
    sender = threading.Thread(target=made.send, args=(stop,))
    sender.start()
    until(lambda: box.tries == 1)

    stop.set()
    made.watch(stop)

    assert "2 events are lost" in caplog.text
    box.open.set()
    sender.join(DEADLINE_S)


def test_the_end_does_not_wait_for_a_broker_that_refuses(box, caplog):
    made = Outbox(box, size=10, retries=-1, bounds=Bounds(pauses_s=(60.0,)))
    box.refuses = True
    begun = time.monotonic()
    with running(made):
        made.emit("a", {})
        until(lambda: box.tries == 1)

    assert time.monotonic() - begun < BOUNDS.drain_s
    assert "1 events are lost" in caplog.text
