"""What the rbd store does when the cluster hangs, is full, restarts or refuses."""

import contextlib
import struct
import time

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.rbd.driver import Rbd
from imageservice.stores.testing import Stream, Threads, pattern, read_all
from tests.stores.backends import TIMEOUT_S
from tests.stores.rbds import discarded, options, pool, until

pytestmark = pytest.mark.servers

IMPATIENT_S = 3


@pytest.fixture
def impatient(ceph, driver):
    """A driver for a cluster that hangs."""
    chosen = options(ceph, rados_connect_timeout=IMPATIENT_S)
    return Rbd.configured("impatient", chosen, Threads())


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


def test_a_disk_that_hangs_in_mid_write_is_not_waited_for_for_ever(impatient, ceph):
    size = 40 * BLOCK
    stream = Stream(bytes(size), at=20 * BLOCK, then=lambda: ceph.freeze("osd.0"))
    start = time.monotonic()

    try:
        with pytest.raises(errors.RemainsLeft):
            impatient.write("key", stream, size)
    finally:
        took = time.monotonic() - start
        ceph.thaw("osd.0")

    assert took < 8 * IMPATIENT_S
    until(lambda: discarded(impatient), "it cannot be removed")


def test_a_lock_that_this_process_left_behind_holds_up_no_removal(driver):
    rbd, session = driver.cluster.rbd, driver.cluster.session()
    rbd.RBD().create(session.pool, "key", BLOCK)  # as other services make images
    with rbd.Image(session.pool, "key") as image:
        image.create_snap("snap")
        header = f"rbd_header.{image.id()}"
    session.pool.execute(header, "lock", "lock", lock_of_librbd())

    url = f"rbd://{session.fsid}/images/key/snap"
    until(lambda: deleted(driver, url), "it cannot be removed")


def lock_of_librbd():
    """What librbd sends to lock an image, as one that could not be closed leaves it."""

    def text(value):
        return struct.pack("<I", len(value)) + value

    exclusive, no_end, flags = b"\1", bytes(8), b"\0"
    lock = text(b"rbd_lock") + exclusive + text(b"auto 1") + text(b"internal")
    lock += text(b"") + no_end + flags
    return struct.pack("<BBI", 1, 1, len(lock)) + lock


def deleted(driver, url):
    with contextlib.suppress(errors.StoreUnavailable, errors.StoreDenied):
        driver.delete(url)
        return True
    return False


def test_a_disk_that_hangs_in_mid_read_is_not_waited_for_for_ever(
    impatient, driver, ceph, url
):
    chunks = impatient.read(url)
    ceph.freeze("osd.0")

    try:
        with pytest.raises(errors.StoreUnavailable):
            list(chunks)
        with pytest.raises(errors.StoreUnavailable):
            impatient.check()
    finally:
        ceph.thaw("osd.0")
        chunks.close()

    assert read_all(driver, url) == pattern(3 * BLOCK)
    until(lambda: works(impatient), "it does not recover")


def test_a_monitor_that_hangs_fails_the_first_connection_only(ceph):
    chosen = options(ceph, rados_connect_timeout=TIMEOUT_S)
    driver = Rbd.configured("new", chosen, Threads())
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
    old = driver.cluster.session().rados
    ceph.run("ceph", "osd", "blacklist", "add", old.get_addrs())

    until(lambda: works(driver) and driver.size(url) == 3 * BLOCK, "barred for ever")
    until(lambda: driver.size(url) and old.state == "shutdown", "never ended")


def test_a_full_cluster_refuses_and_nothing_is_left(driver, ceph):
    size = 40 * BLOCK
    stream = Stream(b"x" * size, at=20 * BLOCK, then=ceph.fill)

    try:
        with pytest.raises(errors.StoreFull):
            driver.write("key", stream, size)
        assert pool(driver) == []
    finally:
        ceph.relieve()

    url = driver.write("key", Stream(b"x"), 1).url
    driver.delete(url)


def test_while_no_monitor_answers_bytes_go_up_and_down(driver, ceph, url):
    size = 20 * BLOCK
    found = []

    def answer_again():
        found.append(read_all(driver, url))
        ceph.thaw("mon.a")

    ceph.freeze("mon.a")
    try:
        other = driver.write("other", Stream(b"m" * size, then=answer_again), size).url
    finally:
        ceph.thaw("mon.a")

    assert found == [pattern(3 * BLOCK)]
    assert read_all(driver, other) == b"m" * size
    driver.delete(other)


def test_an_upload_that_no_monitor_lets_end_leaves_nothing(impatient, driver, ceph):
    stream = Stream(b"data", then=lambda: ceph.freeze("mon.a"))

    try:
        with pytest.raises(errors.StoreUnavailable, match=f"within {IMPATIENT_S} s"):
            impatient.write("key", stream, 4)
    finally:
        ceph.thaw("mon.a")

    assert pool(driver) == []


def test_transfers_go_on_when_a_disk_has_been_restarted(driver, ceph):
    size = 60 * BLOCK

    stream = Stream(b"r" * size, at=30 * BLOCK, then=lambda: ceph.restart("osd.0"))
    url = driver.write("key", stream, size).url
    chunks = driver.read(url)
    reading = iter(chunks)
    found = [bytes(next(reading))]
    ceph.restart("osd.0")
    found.extend(map(bytes, reading))
    chunks.close()

    assert b"".join(found) == b"r" * size
    driver.delete(url)


def test_a_new_key_needs_no_restart(ceph, tmp_path):
    keyring, conf = tmp_path / "keyring", tmp_path / "ceph.conf"
    conf.write_text(ceph.conf.read_text().replace(str(ceph.keyring), str(keyring)))
    wrong = "AQBhLMxnAAAAABAAcrXzX2xkEHZbVbRbbSUbcA=="
    keyring.write_text(f"[client.{ceph.user}]\nkey = {wrong}\n")
    driver = Rbd.configured(
        "r", options(ceph, rbd_store_ceph_conf=str(conf)), Threads()
    )

    for _ in range(2):
        with pytest.raises(errors.StoreDenied):
            driver.check()
    keyring.write_text(ceph.keyring.read_text())

    driver.check()


def test_a_key_that_was_changed_while_connected(ceph, tmp_path):
    """A connection of which no answer comes is made anew when the keyring has changed."""
    keyring, conf = tmp_path / "keyring", tmp_path / "ceph.conf"
    conf.write_text(ceph.conf.read_text().replace(str(ceph.keyring), str(keyring)))
    keyring.write_text(ceph.keyring.read_text())
    chosen = options(
        ceph, rbd_store_ceph_conf=str(conf), rados_connect_timeout=TIMEOUT_S
    )
    driver = Rbd.configured("r", chosen, Threads())
    until(lambda: works(driver), "it does not connect")
    old = driver.cluster.session().rados
    ceph.freeze("osd.0")

    try:
        assert not works(driver)
        assert driver.cluster.session().rados is old
        keyring.write_text(ceph.keyring.read_text() + "\n")
        assert not works(driver)
    finally:
        ceph.thaw("osd.0")

    until(lambda: works(driver), "it does not connect again")
    assert driver.cluster.session().rados is not old
    until(lambda: works(driver) and old.state == "shutdown", "never ended")


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
