"""The S3 store on a small service: the most parts of an upload, and checksums."""

import base64
import zlib

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.s3 import S3
from imageservice.stores.testing import Zeros, pattern
from tests.unit.stores.s3.service import Object, Service, store

# --- the most parts ---


@pytest.fixture
def short(service: Service) -> S3:
    """A store whose uploads have two parts of 5 MiB at most."""
    driver = store(service, large_object_chunk_size=5)
    driver.most_parts = 2
    return driver


def test_an_upload_fills_all_parts_that_it_may_have(short, service):
    assert short.write("key", Zeros(10 * BLOCK), None).size == 10 * BLOCK


def test_an_upload_that_needs_more_parts_is_refused_and_says_what_to_do(short, service):
    with pytest.raises(errors.StoreFull, match="s3_store_large_object_chunk_size"):
        short.write("key", Zeros(10 * BLOCK + 1), None)

    assert (service.objects, service.uploads) == ({}, {})


# --- checksums ---

URL = "s3://images/key"
DATA = pattern(2 * BLOCK + 7)


@pytest.fixture
def comparing(service: Service) -> S3:
    return store(
        service,
        enable_data_integrity_protection=True,
        response_checksum_validation="when_supported",
    )


def stored(service: Service, data: bytes) -> None:
    """Put data there with the checksum of DATA."""
    checksum = base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()
    service.objects["key"] = Object(data, {"x-amz-checksum-crc32": checksum})


@pytest.mark.parametrize("length", [None, len(DATA)])
def test_what_differs_from_its_checksum_is_never_passed_on_whole(
    comparing, service, length
):
    stored(service, DATA[:-1] + b"?")
    passed: list[bytes] = []

    with pytest.raises(errors.StoreUnavailable, match="not what was stored"):
        passed.extend(comparing.read(URL, 0, length))

    assert b"".join(passed) == DATA[: 2 * BLOCK]
    assert service.seen.count("GET key") == 1


@pytest.mark.parametrize("length", [None, len(DATA), BLOCK, 5])
def test_what_has_its_checksum_is_passed_on(comparing, service, length):
    stored(service, DATA)

    assert b"".join(comparing.read(URL, 0, length)) == DATA[:length]
