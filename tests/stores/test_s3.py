"""The S3 store on Ceph's gateway."""

import pytest

from imageservice.stores.s3 import S3
from imageservice.stores.testing import DriverSuite
from tests.stores.buckets import everything, new_name, on
from tests.stores.ceph import Ceph

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def cold(ceph: Ceph) -> S3:
    store = on(ceph, bucket=new_name())
    store.create()
    return store


class TestRadosgw(DriverSuite):
    test_more_than_five_gibibytes = None  # the cluster keeps its data in memory

    @pytest.fixture
    def driver(self, cold: S3) -> S3:
        return cold

    def left(self, driver: S3) -> list[str]:
        return everything(driver)
