"""Locations of the rbd store: other forms, other clusters, clusters that are down."""

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.rbd.driver import Rbd
from imageservice.stores.testing import Threads, pattern, read_all
from tests.stores.rbds import options

pytestmark = pytest.mark.servers


def test_the_old_short_location_is_read(driver, url):
    assert read_all(driver, "rbd://key", 1, BLOCK) == pattern(3 * BLOCK)[1 : BLOCK + 1]


@pytest.mark.parametrize("change", [("/images/", "/volumes/"), ("//", "//0")])
def test_another_cluster_or_pool_is_refused(driver, url, change):
    with pytest.raises(errors.LocationInvalid):
        driver.read(url.replace(*change))


def test_a_location_is_worded_without_asking_a_cluster_that_is_down(ceph):
    fsid = ceph.run("ceph", "fsid").strip()
    url = f"rbd://{fsid}/images/key/snap"
    driver = Rbd.configured("r", options(ceph), Threads())

    with ceph.frozen("mon.a"):
        assert driver.canonical("rbd://key") == url
        assert driver.canonical(url) == url
        with pytest.raises(errors.LocationInvalid):
            driver.canonical(url.replace(fsid, "other"))


def test_a_cluster_whose_id_is_not_configured_is_asked_for_it(ceph, tmp_path):
    fsid = ceph.run("ceph", "fsid").strip()
    conf = tmp_path / "ceph.conf"
    conf.write_text(ceph.conf.read_text().replace(f"fsid = {fsid}", ""))
    chosen = options(ceph, rbd_store_ceph_conf=str(conf))

    driver = Rbd.configured("r", chosen, Threads())

    assert driver.canonical("rbd://key") == f"rbd://{fsid}/images/key/snap"
