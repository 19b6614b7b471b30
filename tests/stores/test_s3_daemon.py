"""The S3 store in the daemon over https, whose sockets are green in another way."""

import pytest

from imageservice.stores.testing import pattern
from tests.hammer import calls
from tests.stores.backends import MIB, sections
from tests.stores.buckets import Buckets
from tests.stores.ceph import Ceph

pytestmark = pytest.mark.servers


def test_transfers_over_https(secure: Ceph, certificate, start_daemon):
    bucket = Buckets(secure)
    bucket.options |= {
        "s3_store_host": secure.secure_url,
        "s3_store_cacert": certificate,
    }
    daemon = start_daemon(sections(bucket))
    data, image = pattern(11 * MIB), calls.create(daemon.url)

    assert calls.put(daemon.url, image, data) == 204

    assert calls.download(daemon.url, image) == data
    assert calls.call(daemon.url, "DELETE", image).status == 204
