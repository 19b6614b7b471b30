"""The S3 store over https, with newer checksums, and with buckets as hosts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.s3 import S3
from imageservice.stores.testing import Stream, pattern, read_all
from tests.stores.buckets import emptied, everything, new_name, on, on_swift
from tests.stores.ceph import Ceph
from tests.stores.swift import Swift

pytestmark = pytest.mark.servers

DATA = pattern(11 * BLOCK)

NEWER = {
    "enable_data_integrity_protection": True,
    "request_checksum_calculation": "when_supported",
    "response_checksum_validation": "when_supported",
}
"""What boto3 does by default; ours is what every service understands."""


def round_trip(store: S3) -> None:
    with emptied(store):
        url = store.write("key", Stream(DATA), None).url
        assert read_all(store, url) == DATA
        assert read_all(store, url, 5, 7) == DATA[5:12]
        store.delete(url)


# --- https ---


def test_https_with_an_authority_of_ones_own(secure: Ceph, certificate: Path) -> None:
    round_trip(
        on(secure, host=secure.secure_url, bucket=new_name(), cacert=str(certificate))
    )


def test_a_certificate_of_an_unknown_authority_is_refused(secure: Ceph) -> None:
    store = on(secure, host=secure.secure_url, bucket=new_name())

    with pytest.raises(errors.StoreUnavailable):
        store.check()


# --- newer checksums ---


def test_newer_checksums_are_sent_to_ceph_when_asked_for(ceph: Ceph) -> None:
    round_trip(on(ceph, bucket=new_name(), **NEWER))


def test_newer_checksums_are_verified_by_swift(swift: Swift) -> None:
    round_trip(on_swift(swift, bucket=new_name(), **NEWER))


def test_newer_checksums_over_https_are_refused_by_ceph(
    secure: Ceph, certificate: Path
) -> None:
    """So they are off by default: Ceph 16 does not know how they are sent there."""
    store = on(
        secure,
        host=secure.secure_url,
        bucket=new_name(),
        cacert=str(certificate),
        **NEWER,
    )
    with emptied(store):
        with pytest.raises(errors.StoreUnavailable, match="MissingContentLength"):
            store.write("key", Stream(DATA), None)
        assert everything(store) == []


def test_newer_checksums_over_https_are_verified_by_swift(
    certificate: Path, tmp_path: Path
) -> None:
    with Swift(tmp_path, certificate=certificate) as secure:
        store = on_swift(secure, bucket=new_name(), cacert=str(certificate), **NEWER)
        round_trip(store)


# --- buckets as hosts ---


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """A gateway whose domain is the end of its address, and a bucket its beginning.

    So the bucket's host needs no DNS.
    """
    folder = tmp_path_factory.mktemp("numbered")
    with Ceph(folder, gateway=True, domain="0.0.1") as running:
        yield running


def test_buckets_as_hosts(numbered: Ceph) -> None:
    host = numbered.url.replace("127.0.0.1", "0.0.1")

    round_trip(on(numbered, host=host, bucket="127", bucket_url_format="virtual"))
