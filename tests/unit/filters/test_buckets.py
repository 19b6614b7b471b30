"""Buckets: the burst, what time gives back, and what may stand in the file."""

import concurrent.futures
import fcntl
import multiprocessing
import os

import pytest

from imageservice import errors
from imageservice.filters import buckets
from imageservice.filters.buckets import SECOND, WAYS, Rate, Table

TEN = Rate.of(10, 20)


class Clock:
    """Nanoseconds that pass when they are told to."""

    def __init__(self):
        self.now = 5 * SECOND

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def table(tmp_path, clock):
    return Table(tmp_path / "own" / "buckets", 4, now=clock)


def passed(table, count, name=b"x", rate=TEN):
    return sum(table.take(name, rate) == 0 for _ in range(count))


def test_a_burst_passes_and_not_one_more(table):
    assert passed(table, 100) == 20


def test_after_the_time_that_was_told_the_next_one_passes_and_one_alone(table, clock):
    passed(table, 20)
    wait = table.take(b"x", TEN)

    clock.now += wait - 1
    early = table.take(b"x", TEN)
    clock.now += 1

    assert (wait, early) == (SECOND // 10, 1)
    assert passed(table, 5) == 1


@pytest.mark.parametrize(("seconds", "count"), [(0.35, 3), (1, 10), (3600, 20)])
def test_time_fills_a_bucket_up_to_the_burst(table, clock, seconds, count):
    passed(table, 20)

    clock.now += int(seconds * SECOND)

    assert passed(table, 100) == count


def test_who_is_refused_does_not_wait_longer_for_it(table, clock):
    passed(table, 1000)

    clock.now += SECOND // 10

    assert passed(table, 5) == 1


def test_buckets_do_not_know_each_other(table):
    passed(table, 20, b"x")

    assert passed(table, 100, b"y") == 20


def test_one_request_a_day_is_a_rate_too(table, clock):
    daily = Rate.of(1 / 86400, 1)

    assert passed(table, 3, rate=daily) == 1
    assert table.take(b"x", daily) == pytest.approx(86400 * SECOND, rel=1e-6)


def test_another_process_finds_what_is_left(tmp_path, table, clock):
    passed(table, 15)

    assert passed(Table(tmp_path / "own" / "buckets", 4, now=clock), 100) == 5


def test_the_nearest_to_full_is_forgotten_first(tmp_path, clock):
    table = Table(tmp_path / "own" / "one-row", 1, now=clock)
    passed(table, 20, b"greedy")
    for number in range(WAYS - 1):
        passed(table, 3, b"modest %d" % number)

    passed(table, 4, b"newcomer")

    assert passed(table, 1, b"greedy") == 0
    assert passed(table, 100, b"newcomer") == 16


def test_what_was_written_by_halves_is_no_debt(tmp_path, table, clock):
    passed(table, 20)
    file = tmp_path / "own" / "buckets"
    data = bytearray(file.read_bytes())
    for at in range(buckets._HEAD.size + 16, len(data), buckets._SLOT.size):
        data[at : at + 8] = (2**62).to_bytes(8, "little")
    file.write_bytes(data)

    assert passed(table, 100) == 20


def test_times_of_another_boot_are_forgotten(tmp_path, table, clock):
    passed(table, 20)
    file = tmp_path / "own" / "buckets"
    data = bytearray(file.read_bytes())
    data[16:32] = bytes(16)
    file.write_bytes(data)

    assert passed(Table(file, 4, now=clock), 100) == 20


def test_a_file_of_others_is_refused(tmp_path, clock):
    (tmp_path / "own").mkdir(mode=0o700)
    (tmp_path / "own" / "buckets").symlink_to("/dev/null")

    with pytest.raises(errors.Misconfigured, match="own/buckets"):
        Table(tmp_path / "own" / "buckets", 4, now=clock)


def test_a_folder_that_others_write_to_is_refused(tmp_path, clock):
    (tmp_path / "own").mkdir()
    (tmp_path / "own").chmod(0o777)

    with pytest.raises(errors.Misconfigured, match="others may write"):
        Table(tmp_path / "own" / "buckets", 4, now=clock)


def test_threads_share_exactly_the_burst(tmp_path):
    table = Table(tmp_path / "own" / "buckets", 4)
    slow = Rate.of(0.001, 50)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: table.take(b"x", slow), range(500)))

    assert waits.count(0) == 50


def _count(path, begin, counts):
    table = Table(path, 4)
    begin.wait()
    counts.put(passed(table, 500, rate=Rate.of(0.001, 50)))


def test_processes_share_exactly_the_burst(tmp_path):
    context = multiprocessing.get_context("spawn")
    begin, counts = context.Barrier(3), context.Queue()
    path = tmp_path / "own" / "buckets"
    running = [
        context.Process(target=_count, args=(path, begin, counts)) for _ in range(3)
    ]
    for process in running:
        process.start()

    found = [counts.get(timeout=60) for _ in running]
    for process in running:
        process.join()

    assert sum(found) == 50


def test_a_killed_process_leaves_no_lock(tmp_path, table, clock):
    child = os.fork()
    if not child:
        own = Table(tmp_path / "own" / "buckets", 4, now=clock)
        fcntl.flock(own._file, fcntl.LOCK_EX)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)

    assert passed(table, 100) == 20


def test_who_is_stopped_with_the_lock_stops_nobody_else_for_long(
    tmp_path, table, caplog
):
    holder = os.open(tmp_path / "own" / "buckets", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)

    assert table.take(b"x", TEN) == 0
    assert "stands still" in caplog.text
    os.close(holder)
