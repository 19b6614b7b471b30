"""Which images of the rbd store go, which stay, and which go to Ceph's trash."""

import errno
import json

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.rbd.driver import Rbd
from imageservice.stores.testing import Stream, Threads, pattern, read_all
from tests.stores.rbds import options, pool

pytestmark = pytest.mark.servers


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


def test_an_image_that_is_opened_while_it_is_removed_stays_as_it_was(
    driver, url, monkeypatch
):
    rbd, pool_ = driver.cluster.rbd, driver.cluster.session().pool
    remove = rbd.RBD.remove

    def late(self, *args):
        with rbd.Image(pool_, "key"):
            return remove(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(rbd.RBD, "remove", late)
        with pytest.raises(errors.KeyInUse):
            driver.delete(url)

    with rbd.Image(pool_, "key") as image:
        assert image.is_protected_snap("snap")
    assert read_all(driver, url) == pattern(3 * BLOCK)


def test_a_removal_that_breaks_off_in_its_middle_is_known_to(driver, url, monkeypatch):
    rbd = driver.cluster.rbd

    def hangs(self, *args):
        raise rbd.OSError("no answer", errno=errno.ETIMEDOUT)

    with monkeypatch.context() as patched:
        patched.setattr(rbd.RBD, "remove", hangs)
        with pytest.raises(errors.RemainsLeft):
            driver.delete(url)

    driver.delete(url)


def test_an_image_whose_removal_begins_without_an_answer_stays_as_it_was(
    driver, url, monkeypatch
):
    rbd, pool_ = driver.cluster.rbd, driver.cluster.session().pool
    with monkeypatch.context() as patched:
        patched.setattr(rbd, "Image", unanswering(rbd, "unprotect_snap"))
        with pytest.raises(errors.StoreUnavailable) as raised:
            driver.delete(url)

    assert not isinstance(raised.value, errors.RemainsLeft)
    with rbd.Image(pool_, "key") as image:
        assert image.is_protected_snap("snap")


def test_an_image_that_may_be_without_protection_counts_as_removed(
    driver, url, monkeypatch
):
    rbd = driver.cluster.rbd
    deaf = unanswering(rbd, "unprotect_snap", "protect_snap")
    with monkeypatch.context() as patched:
        patched.setattr(rbd, "Image", deaf)
        with pytest.raises(errors.RemainsLeft):
            driver.delete(url)

    driver.delete(url)


def unanswering(rbd, *calls):
    """Images whose ``calls`` are obeyed, but no answer comes."""
    image = rbd.Image

    class Deaf:
        def __init__(self, *args, **options):
            self._image = image(*args, **options)

        def __getattr__(self, name):
            call = getattr(self._image, name)

            def obeyed(*args):
                call(*args)
                raise rbd.OSError("no answer", errno=errno.ETIMEDOUT)

            return obeyed if name in calls else call

    return Deaf


def test_a_removal_that_was_broken_off_can_be_done_again(driver, url):
    with driver.cluster.rbd.Image(driver.cluster.session().pool, "key") as image:
        image.unprotect_snap("snap")
        image.remove_snap("snap")

    driver.delete(url)


# --- clones of the second form, which need no protected snapshot ---


@pytest.fixture
def nova(ceph):
    """A user that clones as a cluster does in which all clients understand such clones."""
    rados = driver_library(ceph).Rados(conffile=str(ceph.conf), rados_id="admin")
    rados.conf_set("rbd_default_clone_format", "2")
    rados.connect()
    yield rados
    rados.shutdown()


def driver_library(ceph):
    return Rbd.configured("other", options(ceph), Threads()).cluster.rados


@pytest.fixture
def vms(ceph):
    """A pool that the store's user must not read."""
    ceph.run("ceph", "osd", "pool", "create", "vms", "1")
    yield "vms"
    ceph.run("ceph", "osd", "pool", "rm", "vms", "vms", "--yes-i-really-really-mean-it")


@pytest.mark.parametrize(
    ("target", "words"),
    [("images", "clones: images/disk"), ("vms", "there are clones")],
)
def test_an_image_with_new_clones_is_in_use(driver, url, nova, vms, target, words):
    rbd = driver.cluster.rbd.RBD()
    with nova.open_ioctx("images") as images, nova.open_ioctx(target) as pool_:
        rbd.clone(images, "key", "snap", pool_, "disk", features=1)

        for _ in range(2):
            with pytest.raises(errors.KeyInUse, match=words):
                driver.delete(url)

        with driver.cluster.rbd.Image(images, "key", read_only=True) as image:
            assert image.is_protected_snap("snap")
        rbd.remove(pool_, "disk")
    driver.delete(url)


# --- Ceph set up to keep what is removed ---


@pytest.fixture
def keeping(ceph, driver):
    ceph.run("rbd", "config", "pool", "set", "images", OPTION, "true")
    yield
    ceph.run("rbd", "config", "pool", "rm", "images", OPTION)
    rbd, ioctx = driver.cluster.rbd.RBD(), driver.cluster.session().pool
    for entry in rbd.trash_list(ioctx):
        rbd.trash_remove(ioctx, entry["id"], force=True)


OPTION = "rbd_move_to_trash_on_remove"


def trash(ceph):
    return [
        entry["name"]
        for entry in json.loads(
            ceph.run("rbd", "trash", "ls", "images", "--format=json")
        )
    ]


def test_what_is_deleted_is_kept_in_the_trash(driver, url, ceph, keeping):
    driver.delete(url)

    with pytest.raises(errors.KeyNotFound):
        driver.size(url)
    with pytest.raises(errors.KeyNotFound):
        driver.delete(url)
    assert trash(ceph) == ["key"]


def test_what_was_never_finished_is_not_kept(driver, keeping):
    def broken():
        raise errors.BodyBroken(reason="gone")

    with pytest.raises(errors.BodyBroken):
        driver.write("key", Stream(b"x" * BLOCK, then=broken), BLOCK)

    assert pool(driver) == []


def test_an_image_with_new_clones_goes_to_the_trash(driver, url, nova, ceph, keeping):
    rbd = driver.cluster.rbd
    with nova.open_ioctx("images") as images:
        rbd.RBD().clone(images, "key", "snap", images, "disk", features=1)

        driver.delete(url)

        assert trash(ceph) == ["key"]
        with rbd.Image(images, "disk") as disk:
            assert disk.read(0, 100) == pattern(100)
            disk.flatten()
        rbd.RBD().remove(images, "disk")


# --- a removal that was broken off ---


def test_what_was_broken_off_in_the_trash_is_discarded(driver):
    rbd, ioctx = driver.cluster.rbd.RBD(), driver.cluster.session().pool
    part = ".key.0123456789abcdef"
    rbd.create(ioctx, part, BLOCK, old_format=False)
    rbd.trash_move(ioctx, part)

    driver.discard("other")
    assert pool(driver) == [part]

    driver.discard("key")
    assert pool(driver) == []
