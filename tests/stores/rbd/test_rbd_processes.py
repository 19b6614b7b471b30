"""Writers that die, are fenced off, forked, or given up by those who asked for them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.rbd import contents, names
from imageservice.stores.rbd.driver import Rbd
from imageservice.stores.testing import (
    Interrupted,
    Stream,
    Threads,
    read_all,
)
from tests.stores.rbds import discarded, options, pool, until

pytestmark = pytest.mark.servers

PATIENCE_S = 60


WRITER = """
import json, sys, time
from imageservice.stores.rbd.driver import Rbd
from imageservice.stores.testing import Stream, Threads

def wait():
    print("waiting", flush=True)
    sys.stdin.readline()

driver = Rbd.configured("rbd", json.loads(sys.argv[1]), Threads())
size, at = map(int, sys.argv[2:])
driver.write("key", Stream(b"w" * size, at=at, then=wait), size)
"""


SIZE = 20 * BLOCK


@pytest.fixture
def writer(ceph):
    """Another process that has written all of ``key`` but not published it."""
    with writing(ceph, SIZE) as process:
        yield process


@contextlib.contextmanager
def writing(ceph, at):
    """Another process that writes ``key`` and has come to byte ``at``."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, json.dumps(options(ceph)), str(SIZE), str(at)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout.readline() == b"waiting\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_what_a_killed_process_left_can_be_discarded(driver, writer):
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert pool(driver)

    until(lambda: discarded(driver), "its image stays busy")


def test_a_writer_in_another_process_is_fenced_off(driver, writer):
    with pytest.raises(errors.StoreUnavailable, match="another process"):
        driver.discard("key")
    url = driver.write("key", Stream(b"newer"), 5).url

    _, trouble = writer.communicate(b"\n", timeout=PATIENCE_S)

    assert b"KeyExists" in trouble
    assert writer.returncode == 1
    assert read_all(driver, url) == b"newer"
    driver.delete(url)


def test_a_writer_that_slept_while_its_image_was_removed_leaves_no_data(driver, ceph):
    with writing(ceph, SIZE // 2) as writer:
        writer.send_signal(signal.SIGSTOP)
        until(lambda: discarded(driver), "its image stays busy")
        assert data(driver) == []
        writer.send_signal(signal.SIGCONT)

        writer.communicate(b"\n", timeout=PATIENCE_S)

    assert writer.returncode == 1
    assert data(driver) == []


def data(driver):
    """Names of the objects in the pool that hold bytes of images."""
    every = driver.cluster.session().pool.list_objects()
    return [found.key for found in every if found.key.startswith("rbd_data.")]


def test_a_connection_is_not_shared_with_a_child(driver, url):
    assert driver.size(url) == 3 * BLOCK
    child = os.fork()
    if not child:
        os._exit(0 if driver.size(url) == 3 * BLOCK else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert driver.size(url) == 3 * BLOCK


def test_what_a_killed_process_left_goes_while_the_cluster_is_full(
    driver, ceph, writer
):
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    ceph.fill()

    try:
        until(lambda: discarded(driver), "its image stays busy")
        assert pool(driver) == []
    finally:
        ceph.relieve()


def test_a_clock_that_a_killed_process_left_goes_with_a_later_listing(
    driver, monkeypatch
):
    rbd, ioctx = driver.cluster.rbd, driver.cluster.session().pool
    name = names.temporary(contents.CLOCK)
    rbd.RBD().create(ioctx, name, 0, old_format=False)
    assert [found.key for found in driver.listing()] == [contents.CLOCK]
    monkeypatch.setattr(contents, "LEFT_S", -1)

    assert list(driver.listing()) == []

    assert pool(driver) == []


# --- requests that are given up ---


class Deserting(Threads):
    """The request goes away while it waits for some of its calls, which are made."""

    def __init__(self, calls):
        self._calls = calls
        self._count = 0

    def signal(self):
        self._count += 1
        made = super().signal()
        return Deserted(made) if self._count in self._calls else made


class Deserted:
    def __init__(self, made):
        self._made = made
        self.set = made.set

    def wait(self, timeout=None):
        self._made.wait(timeout)
        raise Interrupted


@pytest.mark.parametrize(
    ("calls", "error"),
    [
        pytest.param({1}, Interrupted, id="while-it-begins"),
        pytest.param({2}, Interrupted, id="while-it-is-published"),
        pytest.param({2, 3}, errors.RemainsLeft, id="while-it-is-removed"),
    ],
)
def test_a_write_that_is_given_up_leaves_nothing_unsaid(driver, ceph, calls, error):
    deserted = Rbd.configured("r", options(ceph), Deserting(calls))

    with pytest.raises(error):
        deserted.write("key", Stream(b"data"), 4)

    assert pool(driver) == []
