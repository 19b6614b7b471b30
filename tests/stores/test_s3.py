"""The S3 store on Ceph's gateway."""

import uuid

import pytest

from imageservice.stores.s3 import S3
from imageservice.stores.testing import DriverSuite, Threads
from tests.stores.ceph import Ceph

pytestmark = pytest.mark.servers


def options(**changed: object) -> dict[str, object]:
    """Values of all options: defaults, but for those given without ``s3_store_``."""
    given = {f"s3_store_{name}": value for name, value in changed.items()}
    return {opt.dest: opt.default for opt in S3.OPTS} | given


def on(ceph: Ceph, **changed: object) -> S3:
    values = {
        "host": ceph.url,
        "access_key": ceph.account.access_key,
        "secret_key": ceph.account.secret_key,
        "bucket": "images",
        "create_bucket_on_put": True,
        "read_timeout": 10,
    }
    return S3.configured("cold", options(**values | changed), Threads())


def everything(driver: S3) -> list[str]:
    """Names of objects and unfinished uploads in the bucket."""
    client, name = driver._bucket._client, driver._plan.bucket
    objects = client.list_objects_v2(Bucket=name).get("Contents", [])
    uploads = client.list_multipart_uploads(Bucket=name).get("Uploads", [])
    return [each["Key"] for each in [*objects, *uploads]]


@pytest.fixture(scope="module")
def cold(ceph: Ceph) -> S3:
    store = on(ceph, bucket=f"images-{uuid.uuid4().hex[:8]}")
    store.create()
    return store


class TestRadosgw(DriverSuite):
    test_more_than_five_gibibytes = None  # the cluster keeps its data in memory

    @pytest.fixture
    def driver(self, cold: S3) -> S3:
        return cold

    def left(self, driver: S3) -> list[str]:
        return everything(driver)
