"""Locations as the incumbent wrote them, read by ours (contract operations.md §3.1, §3.3).

No server is needed: a location is known by its words. What is written today holds a store's
own words alone, no host and no secret.
"""

import pytest

from imageservice import errors
from imageservice.stores.filesystem import File
from imageservice.stores.http import Http
from imageservice.stores.memory import Memory
from imageservice.stores.registry import Store, Stores
from imageservice.stores.testing import Threads
from tests.databases import missing

KEY = "3b4e7a0c-6a25-4b8e-9d2e-0f6a1c2d3e4f"
FSID = "7c3b0f5e-2d6c-4a59-9a5a-0a2f6a6f9e10"
HOST, USER, SECRET = "store.example.net", "who", "wh0se/s3cret"  # noqa: S105

OPTIONS = {
    "file": {"filesystem_store_datadirs": ["/srv/img:5", "/srv/more"]},
    "s3": {
        "s3_store_host": f"https://{HOST}",
        "s3_store_access_key": USER,
        "s3_store_secret_key": SECRET,
        "s3_store_bucket": "images",
    },
    "swift": {
        "swift_store_auth_address": f"https://{HOST}:5000/v3",
        "swift_store_user": f"project:{USER}",
        "swift_store_key": SECRET,
        "swift_store_container": "images",
        "swift_store_multiple_containers_seed": 2,
    },
    "rbd": {"rbd_store_pool": "images"},
    "http": {},
    "memory": {},
}


def driver_class(kind):
    if kind == "s3":
        pytest.importorskip("boto3")
        from imageservice.stores.s3 import S3

        return S3
    if kind == "swift":
        pytest.importorskip("swiftclient")
        from imageservice.stores.swift import Swift

        return Swift
    if kind == "rbd":
        from imageservice.stores.rbd.driver import Rbd

        return Rbd
    return {"file": File, "http": Http, "memory": Memory}[kind]


def made(kind, name=None):
    driver = driver_class(kind)
    values = {opt.dest: opt.default for opt in driver.OPTS}
    for group in driver.SHARED.values():
        values |= {opt.dest: opt.default for opt in group}
    try:
        return driver.configured(name or kind, values | OPTIONS[kind], Threads())
    except errors.LibraryMissing as error:
        missing(str(error))


SWIFT = f"swift+config://ref1/images_3b/{KEY}"

#: Kind, location, and how it is written today.
KNOWN = [
    ("file", f"file:///srv/img/{KEY}", f"file:///srv/img/{KEY}"),
    ("file", f"filesystem:///srv/more/{KEY}", f"file:///srv/more/{KEY}"),
    ("file", f"FILE:///srv/img//{KEY}", f"file:///srv/img/{KEY}"),
    ("s3", f"s3://images/{KEY}", f"s3://images/{KEY}"),
    ("s3", f"s3://{HOST}/images/{KEY}", f"s3://images/{KEY}"),
    ("s3", f"s3+https://old.example:8080/images/{KEY}", f"s3://images/{KEY}"),
    ("s3", f"s3+https://AK:sec/r@et@{HOST}/images/{KEY}", f"s3://images/{KEY}"),
    ("s3", f"s3+http://AK:secret@{HOST}/images/{KEY}", f"s3://images/{KEY}"),
    ("swift", SWIFT, SWIFT),
    ("swift", f"swift+https://project%3Auser:k/e@y@{HOST}/v3/images_3b/{KEY}", SWIFT),
    ("swift", f"swift+http://project:user:key@{HOST}:5000/v2.0/images_3b/{KEY}", SWIFT),
    ("swift", f"swift://project:user:key@{HOST}/v3/images_3b/{KEY}", SWIFT),
    ("http", "http://u:p@web.example/disk.img?x=1", "http://u:p@web.example/disk.img?x=1"),
    ("http", "https://web.example:8443/disk.img", "https://web.example:8443/disk.img"),
    ("memory", f"memory://memory/{KEY}", f"memory://memory/{KEY}"),
]  # fmt: skip

#: Kind, and what looks like its own and is not.
FOREIGN = [
    ("file", f"file:///srv/img2/{KEY}"),
    ("file", f"file:///srv/{KEY}"),
    ("file", f"file:///srv/img/below/{KEY}"),
    ("file", "file:///srv/img/../img/.hidden"),
    ("file", f"s3://images/{KEY}"),
    ("s3", f"s3://{HOST}/images2/{KEY}"),
    ("s3", f"s3://{HOST}/images/below/{KEY}"),
    ("s3", f"s3+ftp://{HOST}/images/{KEY}"),
    ("swift", f"swift+config://ref2/images/{KEY}"),
    ("swift", f"swift+config://user:key@ref1/images/{KEY}"),
    ("swift", f"swift+https://{HOST}/v1/AUTH_x/images_{KEY}/{KEY}"),
    ("swift", f"swift+https://user:key@{HOST}/v3/others/{KEY}"),
    ("rbd", f"rbd://{FSID}/volumes/{KEY}/snap"),
    ("rbd", f"rbd://{FSID}/images/{KEY}/other"),
    ("http", f"ftp://web.example/{KEY}"),
    ("http", "http://user@@web.example/"),
    ("memory", f"memory://other/{KEY}"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "url", "today"), KNOWN)
def test_a_known_form_is_understood(kind, url, today):
    driver = made(kind)

    assert driver.canonical(url) == today
    assert driver.canonical(today) == today


@pytest.mark.parametrize(("kind", "url"), FOREIGN)
def test_what_is_not_of_the_store_is_refused(kind, url):
    with pytest.raises(errors.LocationInvalid):
        made(kind).canonical(url)


@pytest.mark.parametrize("kind", ["s3", "swift"])
def test_what_is_written_tells_no_host_and_no_secret(kind):
    for known, _, today in KNOWN:
        if known == kind:
            url = made(kind).canonical(today)
            for word in (HOST, "example", USER, "s3cret", "@"):
                assert word not in url


# --- which store a location lies in ---


@pytest.fixture
def stores():
    kinds = ("memory", "file", "http")
    return Stores(
        [Store(kind, made(kind), default=kind == "memory") for kind in kinds],
        multi=True,
    )


def test_a_location_lies_in_the_store_that_it_names(stores):
    assert stores.holding("memory", f"file:///srv/img/{KEY}").id == "memory"


@pytest.mark.parametrize("named", ["", "renamed"])
def test_a_store_that_is_not_configured_any_more_is_found_by_the_location(
    stores, named, caplog
):
    for _ in range(2):
        assert stores.holding(named, f"filesystem:///srv/more/{KEY}").id == "file"
    assert stores.holding(named, "https://web.example/disk").id == "http"

    assert [line for line in caplog.messages if "'file'" in line] == [
        f"store '{named}' is not configured any more: 'file' has the data of some of its "
        "locations. Run 'imageservice-manage stores relocate'"
    ]


def test_a_folder_of_a_longer_name_is_another(stores):
    with pytest.raises(errors.StoreUnavailable, match="'renamed'.*not configured"):
        stores.holding("renamed", f"file:///srv/img2/{KEY}")
