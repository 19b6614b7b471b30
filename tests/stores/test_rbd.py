"""The rbd store passes the suite that every driver passes, on a real Ceph."""

import pytest

from imageservice.stores.rbd.driver import Rbd
from imageservice.stores.testing import DriverSuite, Threads
from tests.stores.rbds import options, pool

pytestmark = pytest.mark.servers


class TestRbd(DriverSuite):
    test_more_than_five_gibibytes = None  # the thin store shows it

    @pytest.fixture
    def driver(self, ceph) -> Rbd:
        return Rbd.configured("rbd", options(ceph), Threads())

    def left(self, driver: Rbd) -> list[str]:
        return pool(driver)


class TestThin(TestRbd):
    test_more_than_five_gibibytes = DriverSuite.test_more_than_five_gibibytes

    @pytest.fixture
    def driver(self, ceph) -> Rbd:
        chosen = options(ceph, rbd_thin_provisioning=True, rbd_store_chunk_size=1)
        return Rbd.configured("thin", chosen, Threads())
