"""What images of the rbd store look like to Ceph, and to those who clone them."""

import pytest

from imageservice.stores.driver import BLOCK
from imageservice.stores.rbd.driver import Rbd
from imageservice.stores.testing import Stream, Threads, read_all
from tests.stores.rbds import options

pytestmark = pytest.mark.servers

HOLLOW = b"a" * BLOCK + bytes(6 * BLOCK) + b"b" * BLOCK


@pytest.fixture
def written(ceph):
    """Writes data with a driver of the options given; returns it, and the location."""
    done = []

    def write(data, size, **chosen):
        driver = Rbd.configured("rbd", options(ceph, **chosen), Threads())
        url = driver.write("key", Stream(data), size).url
        done.append((driver, url))
        return driver, url

    yield write
    for driver, url in done:
        driver.delete(url)


def opened(driver):
    pool = driver.cluster.session().pool
    return driver.cluster.rbd.Image(pool, "key", snapshot="snap", read_only=True)


def test_a_location_is_what_nova_and_cinder_clone_from(written):
    driver, url = written(b"data", 4)

    assert url == f"rbd://{driver.cluster.session().fsid}/images/key/snap"
    with opened(driver) as image:
        assert image.is_protected_snap("snap")


def test_librbd_keeps_no_lock_of_an_image(written):
    driver, _ = written(b"data", 4)

    with opened(driver) as image:
        assert image.features() == driver.cluster.rbd.RBD_FEATURE_LAYERING


@pytest.mark.parametrize("mib", [1, 8])
def test_objects_have_the_size_that_was_chosen(written, mib):
    driver, _ = written(b"data", 4, rbd_store_chunk_size=mib)

    with opened(driver) as image:
        assert image.stat()["obj_size"] == mib * BLOCK


@pytest.mark.parametrize(
    ("thin", "room"),
    [
        pytest.param(True, 2 * BLOCK, id="thin"),
        pytest.param(False, 8 * BLOCK, id="thick"),
    ],
)
def test_zeros_take_room_unless_left_out(written, thin, room):
    driver, url = written(
        HOLLOW, len(HOLLOW), rbd_thin_provisioning=thin, rbd_store_chunk_size=1
    )
    taken = []

    with opened(driver) as image:
        image.diff_iterate(
            0, image.size(), None, lambda _, length, there: taken.append(length * there)
        )

    assert sum(taken) == room
    assert read_all(driver, url) == HOLLOW


def test_an_image_of_unknown_size_grows_and_ends_exact(written):
    size = 100 * BLOCK + 7

    driver, url = written(b"g" * size, None)

    assert driver.size(url) == size
    assert read_all(driver, url, size - 3) == b"ggg"
