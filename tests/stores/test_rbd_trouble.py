"""What the rbd store does when clones, other processes or the cluster get in its way."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.rbd.driver import Rbd
from imageservice.stores.testing import Stream, Threads, pattern, read_all
from tests.stores.rbds import TIMEOUT_S, options, pool

pytestmark = pytest.mark.servers

PATIENCE_S = 60


@pytest.fixture
def driver(ceph):
    driver = Rbd.configured("rbd", options(ceph), Threads())
    yield driver
    assert pool(driver) == []


@pytest.fixture
def url(driver):
    url = driver.write("key", Stream(pattern(3 * BLOCK)), 3 * BLOCK).url
    yield url
    with contextlib.suppress(errors.KeyNotFound):
        driver.delete(url)


def until(is_so, what):
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


# --- clones and snapshots of others ---


def test_a_location_is_what_nova_and_cinder_clone_from(driver, url):
    session = driver.cluster.session()

    assert url == f"rbd://{session.fsid}/images/key/snap"
    with driver.cluster.rbd.Image(session.pool, "key", snapshot="snap") as image:
        assert image.is_protected_snap("snap")


def test_an_image_with_clones_is_in_use_and_stays_as_it_was(driver, url):
    rbd, ioctx = driver.cluster.rbd, driver.cluster.session().pool
    rbd.RBD().clone(ioctx, "key", "snap", ioctx, "disk", features=1)

    for _ in range(2):
        with pytest.raises(errors.KeyInUse, match="clones: images/disk"):
            driver.delete(url)

    assert read_all(driver, url) == pattern(3 * BLOCK)
    rbd.RBD().remove(ioctx, "disk")
    driver.delete(url)


def test_an_image_with_other_snapshots_goes_to_the_trash(driver, url):
    rbd, ioctx = driver.cluster.rbd, driver.cluster.session().pool
    with rbd.Image(ioctx, "key") as image:
        image.create_snap("mine")

    driver.delete(url)

    with pytest.raises(errors.KeyNotFound):
        driver.read(url)
    (entry,) = rbd.RBD().trash_list(ioctx)
    rbd.RBD().trash_restore(ioctx, entry["id"], "back")
    with rbd.Image(ioctx, "back") as image:
        image.remove_snap("mine")
    rbd.RBD().remove(ioctx, "back")


def test_an_image_that_somebody_writes_to_is_in_use(driver, url):
    pool_ = driver.cluster.session().pool
    with driver.cluster.rbd.Image(pool_, "key"), pytest.raises(errors.KeyInUse):
        driver.delete(url)

    assert read_all(driver, url) == pattern(3 * BLOCK)


def test_a_removal_that_was_broken_off_can_be_done_again(driver, url):
    with driver.cluster.rbd.Image(driver.cluster.session().pool, "key") as image:
        image.unprotect_snap("snap")
        image.remove_snap("snap")

    driver.delete(url)


def test_a_read_of_an_image_that_is_removed_never_becomes_zeros(driver):
    size = 40 * BLOCK
    url = driver.write("key", Stream(b"x" * size), size).url
    chunks = driver.read(url)
    reading = iter(chunks)
    found = [bytes(next(reading))]

    driver.delete(url)

    with pytest.raises(errors.StoreUnavailable):
        found.extend(map(bytes, reading))
    chunks.close()
    assert set(b"".join(found)) == set(b"x")


# --- other forms of locations ---


def test_the_old_short_location_is_read(driver, url):
    assert read_all(driver, "rbd://key", 1, BLOCK) == pattern(3 * BLOCK)[1 : BLOCK + 1]


@pytest.mark.parametrize("change", [("/images/", "/volumes/"), ("//", "//0")])
def test_another_cluster_or_pool_is_refused(driver, url, change):
    with pytest.raises(errors.LocationInvalid):
        driver.read(url.replace(*change))


# --- a cluster in trouble ---


def test_a_disk_that_hangs_in_mid_write_is_not_waited_for_for_ever(driver, ceph):
    size = 40 * BLOCK
    stream = Stream(bytes(size), at=20 * BLOCK, then=lambda: ceph.freeze("osd.0"))
    start = time.monotonic()

    try:
        with pytest.raises(errors.RemainsLeft):
            driver.write("key", stream, size)
    finally:
        ceph.thaw("osd.0")

    assert time.monotonic() - start < 8 * TIMEOUT_S
    driver.discard("key")


def test_a_disk_that_hangs_in_mid_read_is_not_waited_for_for_ever(driver, ceph, url):
    chunks = driver.read(url)
    ceph.freeze("osd.0")

    try:
        with pytest.raises(errors.StoreUnavailable):
            list(chunks)
        with pytest.raises(errors.StoreUnavailable):
            driver.check()
    finally:
        ceph.thaw("osd.0")
        chunks.close()

    assert read_all(driver, url) == pattern(3 * BLOCK)


def test_a_monitor_that_hangs_fails_the_first_connection_only(ceph):
    driver = Rbd.configured("new", options(ceph), Threads())
    ceph.freeze("mon.a")

    try:
        with pytest.raises(errors.StoreUnavailable, match="within 5 s"):
            driver.check()
    finally:
        ceph.thaw("mon.a")

    until(lambda: works(driver), "it does not connect again")


def works(driver):
    with contextlib.suppress(errors.StoreUnavailable):
        driver.check()
        return True
    return False


def test_a_client_that_the_cluster_bars_connects_anew(driver, ceph, url):
    address = driver.cluster.session().rados.get_addrs()
    ceph.run("ceph", "osd", "blacklist", "add", address)

    until(lambda: works(driver) and driver.size(url) == 3 * BLOCK, "barred for ever")


def test_a_full_cluster_refuses_at_once(driver, ceph, url):
    ratios = [("full", "0.95"), ("backfillfull", "0.9"), ("nearfull", "0.85")]
    big = driver.write("big", Stream(b"x" * 20 * BLOCK), 20 * BLOCK).url
    for name, _ in reversed(ratios):
        ceph.run("ceph", "osd", f"set-{name}-ratio", "0.0001")
    until(lambda: '"full"' in ceph.run("ceph", "osd", "dump", "--format", "json"), "?")

    try:
        start = time.monotonic()
        with pytest.raises((errors.StoreFull, errors.RemainsLeft)):
            driver.write("more", Stream(b"x" * 40 * BLOCK), 40 * BLOCK)
        took = time.monotonic() - start
    finally:
        for name, ratio in ratios:
            ceph.run("ceph", "osd", f"set-{name}-ratio", ratio)

    assert took < 6 * TIMEOUT_S

    def discarded():
        with contextlib.suppress(errors.StoreUnavailable):
            driver.discard("more")
            return True
        return False

    until(discarded, "never not full again")
    driver.delete(big)

    def written():
        with contextlib.suppress(errors.StoreFull):
            driver.write("more", Stream(b"x"), 1)
            return True
        return False

    until(written, "never not full again")
    driver.discard("more")


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        pytest.param({"rbd_store_pool": "none"}, "no pool 'none'", id="pool"),
        pytest.param(
            {"rbd_store_user": "nobody"}, "store 'bad'|Store 'bad'", id="user"
        ),
        pytest.param({"rbd_store_ceph_conf": "/none"}, "ceph.conf", id="conf"),
    ],
)
def test_a_check_says_what_is_wrong(ceph, chosen, words):
    driver = Rbd.configured("bad", options(ceph, **chosen), Threads())

    with pytest.raises((errors.StoreUnavailable, errors.StoreDenied), match=words):
        driver.check()


# --- other processes ---


WRITER = """
import json, sys, time
from imageservice.stores.rbd.driver import Rbd
from imageservice.stores.testing import Stream, Threads

def wait():
    print("waiting", flush=True)
    sys.stdin.readline()

driver = Rbd.configured("rbd", json.loads(sys.argv[1]), Threads())
size = 20 * 1024 * 1024
driver.write("key", Stream(b"w" * size, then=wait), size)
"""


@pytest.fixture
def writer(ceph):
    """Another process that has written all of ``key`` but not published it."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, json.dumps(options(ceph))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout.readline() == b"waiting\n"
    yield process
    process.kill()
    process.communicate()


def discarded(driver):
    with contextlib.suppress(errors.StoreUnavailable):
        driver.discard("key")
        return True
    return False


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


def test_a_connection_is_not_shared_with_a_child(driver, url):
    assert driver.size(url) == 3 * BLOCK
    child = os.fork()
    if not child:
        os._exit(0 if driver.size(url) == 3 * BLOCK else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert driver.size(url) == 3 * BLOCK


def test_an_image_of_unknown_size_grows_and_ends_exact(driver):
    size = 100 * BLOCK + 7

    url = driver.write("key", Stream(b"g" * size), None).url

    assert driver.size(url) == size
    assert read_all(driver, url, size - 3) == b"ggg"
    driver.delete(url)
