"""What the S3 store makes of its options and of locations; no server is needed."""

import io
from urllib.parse import parse_qs, urlsplit

import pytest

from imageservice import errors
from imageservice.stores import calls, endpoint
from imageservice.stores.driver import BLOCK
from imageservice.stores.parts import (
    MOST_PARTS,
    WINDOW,
    Part,
    gather,
    part_size,
    sizes,
)
from imageservice.stores.s3 import S3
from imageservice.stores.testing import Stream, Threads, pattern

KEY = "4f6f3a7e-6c0e-4c55-8ac5-6f3f9c1f1e52"
GIB = 1024**3
TIB = 1024**4


def options(**changed):
    """Values of all options: enough to start, but for those given without ``s3_store_``."""
    given = {
        "host": "https://s3.example.net",
        "access_key": "who",
        "secret_key": "whose/secret+key",
        "bucket": "images",
    } | changed
    defaults = {opt.dest: opt.default for opt in S3.OPTS}
    return defaults | {f"s3_store_{name}": value for name, value in given.items()}


def store(**changed):
    return S3.configured("cold", options(**changed), Threads())


# --- options ---


@pytest.mark.parametrize("name", ["host", "access_key", "secret_key", "bucket"])
def test_what_every_store_needs_is_asked_for(name):
    with pytest.raises(errors.Misconfigured, match=f"s3_store_{name} has to be set"):
        store(**{name: None})


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"host": "ftp://s3.example.net"}, id="scheme"),
        pytest.param({"host": "https://"}, id="no-host"),
        pytest.param({"host": "https://who:secret@s3.example.net"}, id="keys"),
        pytest.param({"bucket": "a/b"}, id="slash"),
        pytest.param(
            {"bucket": "My_Images", "bucket_url_format": "virtual"}, id="no-dns-name"
        ),
        pytest.param({"cacert": "/nonexistent.pem"}, id="no-ca"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(changed):
    with pytest.raises(errors.Misconfigured, match="store 'cold'") as raised:
        store(**changed)

    assert "secret@" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("s3.example.net", "http://s3.example.net"),
        ("127.0.0.1:7480", "http://127.0.0.1:7480"),
        ("https://s3.example.net/", "https://s3.example.net"),
    ],
)
def test_a_host_without_scheme_is_http(given, host):
    assert endpoint.plan("cold", options(host=given)).host == host


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("https://s3.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://s3-eu-west-1.amazonaws.com", "eu-west-1"),
        ("https://s3.dualstack.us-west-2.amazonaws.com", "us-west-2"),
        ("https://s3.amazonaws.com", "us-east-1"),
        ("https://s3.example.net", "us-east-1"),
    ],
)
def test_the_region_comes_from_amazons_names(host, region):
    assert endpoint.plan("cold", options(host=host)).region == region


def test_checksums_are_sent_only_when_integrity_protection_is_on():
    wish = {
        "request_checksum_calculation": "when_supported",
        "response_checksum_validation": "when_supported",
    }

    off = endpoint.plan("cold", options(**wish))
    on = endpoint.plan("cold", options(**wish, enable_data_integrity_protection=True))

    assert (off.request_checksum, off.response_checksum) == ("when_required",) * 2
    assert (on.request_checksum, on.response_checksum) == ("when_supported",) * 2


@pytest.mark.parametrize(
    ("style", "beginning"),
    [
        ("path", "https://s3.example.net/images/key?"),
        ("virtual", "https://images.s3.example.net/key?"),
    ],
)
def test_the_bucket_is_named_in_the_path_or_in_the_host(style, beginning):
    client = calls.client(endpoint.plan("cold", options(bucket_url_format=style)))

    url = client.generate_presigned_url(
        "get_object", Params={"Bucket": "images", "Key": "key"}
    )

    assert url.startswith(beginning)


def test_two_stores_of_one_bucket_are_told_apart_from_two_buckets():
    assert store().claims() == store(host="https://s3.example.net/").claims()
    assert store().claims() != store(bucket="other").claims()


def test_users_see_sizes_in_bytes_and_nothing_else():
    assert store().properties() == {
        "s3_store_large_object_size": 104857600,
        "s3_store_large_object_chunk_size": 10485760,
        "s3_store_thread_pools": 10,
    }


# --- locations ---


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"s3://images/{KEY}", id="ours"),
        pytest.param(f"s3://s3.example.net/images/{KEY}", id="glance"),
        pytest.param(f"s3+https://old.example.net/images/{KEY}", id="glance-renamed"),
        pytest.param(f"s3+http://127.0.0.1:7480/images/{KEY}", id="glance-port"),
        pytest.param(f"s3://who:a/b@c/d@s3.example.net/images/{KEY}", id="glance-keys"),
    ],
)
def test_locations_of_ours_and_of_glance_name_the_same_object(url):
    assert store()._key(url) == KEY


@pytest.mark.parametrize(
    "url",
    [
        f"s3://other/{KEY}",
        f"s3://s3.example.net/other/{KEY}",
        f"s3://images/{KEY}/",
        f"s3://images/{KEY}/x",
        f"s3://images/{KEY}%00",
        f"s3://images/{KEY}?versionId=1",
        "s3://images/%2e%2e",
        "s3://images/.publishing%2Fkey",
        "s3://images/",
        "s3:images/key",
        f"s4://images/{KEY}",
    ],
)
def test_other_locations_are_refused_before_anybody_is_asked(url):
    with pytest.raises(errors.LocationInvalid):
        store().read(url)


def test_a_location_holds_neither_host_nor_secret():
    url = store()._url("odd key@+%")

    assert url == "s3://images/odd%20key%40%2B%25"
    assert store()._key(url) == "odd key@+%"


# --- parts ---


@pytest.mark.parametrize("chunk", [5 * BLOCK, 10 * BLOCK])
@pytest.mark.parametrize("size", [0, 1, 100 * GIB, TIB, 5 * TIB, None])
def test_ten_thousand_parts_suffice(chunk, size):
    parts = list(sizes(chunk, size))

    assert len(parts) == MOST_PARTS
    assert sum(parts) >= (400 * GIB if size is None else size)


def test_parts_are_as_configured_as_long_as_that_will_do():
    assert part_size(10 * BLOCK, 97 * 1024**3, 0) == 10 * BLOCK
    assert part_size(10 * BLOCK, None, 6 * GIB) == 10 * BLOCK
    assert part_size(10 * BLOCK, None, 7 * GIB) > 10 * BLOCK


@pytest.mark.parametrize("chunk", [5 * BLOCK, 10 * BLOCK, 48 * BLOCK])
def test_parts_of_an_unknown_size_never_outgrow_the_memory_of_a_transfer(chunk):
    assert max(sizes(chunk, None)) == WINDOW


def test_larger_parts_make_room_for_more_of_an_unknown_size():
    assert sum(sizes(105 * BLOCK, None)) >= TIB


@pytest.mark.parametrize("piece", [1000, BLOCK])
@pytest.mark.parametrize("size", [0, 1, BLOCK, 3 * BLOCK, 3 * BLOCK + 1])
def test_a_part_can_be_measured_read_and_read_again(piece, size):
    data = pattern(size)

    part = gather(Stream(data, piece=piece), 4 * BLOCK)

    assert part
    assert len(part) == size
    assert part.seek(0, io.SEEK_END) == size
    for _ in range(2):
        part.seek(0)
        assert b"".join(iter(lambda: bytes(part.read(10)), b"")) == data
    with pytest.raises(OSError, match="beginning"):
        part.seek(1)


def test_a_part_ends_where_it_should():
    stream = Stream(pattern(3 * BLOCK))

    parts = [gather(stream, BLOCK + 7) for _ in range(4)]

    assert [len(part) for part in parts] == [BLOCK + 7, BLOCK + 7, BLOCK - 14, 0]
    assert isinstance(parts[0], Part)


# --- redirects ---


def test_a_redirect_is_signed_for_the_address_that_clients_use():
    inner = store(host="http://10.0.0.1:7480", bucket_url_format="path")
    outer = store(
        host="http://10.0.0.1:7480",
        redirect_endpoint="https://s3.example.net",
        bucket_url_format="path",
    )

    own = urlsplit(inner.redirect(inner._url("odd key"), 60))
    url = urlsplit(outer.redirect(outer._url("odd key"), 60))
    query = parse_qs(url.query)

    assert own.netloc == "10.0.0.1:7480"
    assert (url.scheme, url.netloc) == ("https", "s3.example.net")
    assert url.path == "/images/odd%20key"
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-SignedHeaders"] == ["host"]
    assert query["response-content-type"] == ["application/octet-stream"]
    assert "whose" not in url.query


def test_an_address_for_clients_is_a_url_without_keys():
    with pytest.raises(errors.Misconfigured, match="s3_store_redirect_endpoint"):
        store(redirect_endpoint="https://who:secret@s3.example.net")
