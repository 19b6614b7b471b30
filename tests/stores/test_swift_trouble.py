"""The swift store when Swift hangs, is restarted, forgets tokens, or holds odd things."""

import json
import time
import urllib.parse

import pytest
import swiftclient

from imageservice import errors
from imageservice.stores.driver import BLOCK, Buffer
from imageservice.stores.testing import Stream, pattern, read_all
from tests.stores.swift_stores import client, held, store
from tests.stores.wire import Wire

pytestmark = pytest.mark.servers

SEGMENTED = {
    "swift_store_large_object_size": 1,
    "swift_store_large_object_chunk_size": 1,
}
DATA = pattern(3 * BLOCK + 17)


def test_a_wrong_password_is_told_as_a_refusal(swift):
    driver = store(swift, swift_store_key="wrong")

    for call in (driver.check, lambda: driver.write("key", Stream(DATA), None)):
        with pytest.raises(errors.StoreDenied):
            call()


def test_a_missing_container_is_named_and_not_made(swift):
    driver = store(swift, swift_store_create_container_on_put=False)
    container = driver.properties()["container"]

    for call in (
        driver.check,
        lambda: driver.write("key", Stream(DATA), None),
        lambda: driver.discard("key"),
    ):
        with pytest.raises(errors.StoreUnavailable, match=container):
            call()

    assert client(swift).get_account(prefix=container)[1] == []


def test_a_container_that_is_gone_takes_no_image_for_gone(swift):
    """It is rather another account than one where every image was removed."""
    driver = store(swift)
    url = driver.write("key", Stream(DATA), None).url
    driver.delete(url)
    for call in (driver.size, driver.read, driver.delete):
        with pytest.raises(errors.KeyNotFound):
            call(url)
    container = driver.properties()["container"]
    client(swift).delete_container(container)

    for call in (driver.size, driver.read, lambda url: driver.read(url, 0, 0)):
        with pytest.raises(errors.StoreUnavailable, match=container):
            call(url)
    with pytest.raises(errors.StoreUnavailable, match=container) as raised:
        driver.delete(url)
    assert not isinstance(raised.value, errors.RemainsLeft)


def test_a_token_that_swift_forgot_in_the_middle_is_renewed(swift):
    driver = store(swift, **SEGMENTED)

    def forget() -> None:
        swift.kill("memcached")  # where Swift keeps tokens
        swift.start("memcached")

    stream = Stream(DATA, at=2 * BLOCK, then=forget)
    written = driver.write("key", stream, len(DATA))

    assert read_all(driver, written.url) == DATA
    driver.delete(written.url)


@pytest.mark.parametrize("at", [0, BLOCK, len(DATA)])
def test_a_swift_that_hangs_ends_the_upload(swift, at):
    driver = store(swift, swift_store_timeout=2, **SEGMENTED)
    started = time.monotonic()

    def upload() -> None:
        process = swift.frozen()
        stream = Stream(DATA, at=at, then=process.__enter__)
        try:
            driver.write("key", stream, None)
        finally:
            process.__exit__(None, None, None)

    with pytest.raises(errors.RemainsLeft):
        upload()
    assert time.monotonic() - started < 15
    driver.discard("key")

    assert held(client(swift), driver) == []


def test_a_removal_that_was_not_answered_may_have_been_done(swift):
    direct = store(swift, **SEGMENTED)
    url = direct.write("key", Stream(DATA), len(DATA)).url
    with Wire(swift.port) as wire:
        path = urllib.parse.urlsplit(client(swift).get_auth()[0]).path
        wired = store(
            swift,
            swift_store_endpoint=f"{wire.url}{path}",
            swift_store_container=direct.properties()["container"],
            **SEGMENTED,
        )
        wire.swallows = b"DELETE "

        with pytest.raises(errors.RemainsLeft):
            wired.delete(url)

    direct.delete(url)
    assert held(client(swift), direct) == []


def test_a_removal_that_does_not_begin_changes_nothing(swift):
    driver = store(swift, swift_store_timeout=2)
    url = driver.write("key", Stream(DATA), len(DATA)).url

    with swift.frozen(), pytest.raises(errors.StoreUnavailable) as raised:
        driver.delete(url)

    assert not isinstance(raised.value, errors.RemainsLeft)
    assert read_all(driver, url) == DATA
    driver.delete(url)


def test_a_segment_that_is_not_listed_is_removed(swift):
    """What Swift's container server misses is listed later, or never."""
    driver = store(swift)
    data = pattern(24 * BLOCK)  # more than what buffers on the way hold

    class Late(Stream):
        """Swift can list nothing while its last bytes are stored."""

        ends = 0

        def read(self, size: int = -1, /) -> Buffer:
            piece = super().read(size)
            if not piece:
                self.ends += 1
                if self.ends == 2:  # the segment is stored
                    swift.start("container")
            return piece

    stream = Late(data, at=20 * BLOCK, then=lambda: swift.kill("container"))
    url = driver.write("key", stream, None).url
    container = driver.properties()["container"]
    connection = client(swift)
    whole = "multipart-manifest=get"
    text = connection.get_object(container, "key", query_string=whole)[1]
    (segment,) = [entry["name"] for entry in json.loads(text)]
    name = segment.removeprefix(f"/{container}/")
    assert name not in held(connection, driver)
    assert read_all(driver, url) == data

    driver.delete(url)

    with pytest.raises(swiftclient.ClientException, match="404"):
        connection.head_object(container, name)


def test_a_swift_that_was_restarted_in_an_upload_leaves_nothing(swift):
    driver = store(swift)

    def restart() -> None:
        swift.kill()
        swift.start()

    with pytest.raises(errors.StoreUnavailable):
        driver.write("key", Stream(DATA, at=2 * BLOCK, then=restart), None)
    driver.discard("key")

    assert held(client(swift), driver) == []


@pytest.mark.parametrize("retries", [0, 3])
def test_a_download_goes_on_where_it_broke_or_fails(swift, retries):
    driver = store(swift, swift_store_retry_get_count=retries)
    data = pattern(24 * BLOCK)  # more than what buffers on the way hold
    url = driver.write("key", Stream(data), None).url
    chunks = driver.read(url, 5)
    found = bytearray()

    def read() -> None:
        for chunk in chunks:
            found.extend(chunk)
            if len(found) == BLOCK:
                swift.kill()
                swift.start()

    if retries:
        read()
        assert bytes(found) == data[5:]
    else:
        with pytest.raises(errors.StoreUnavailable):
            read()
    chunks.close()
    driver.delete(url)
    assert held(client(swift), driver) == []


def test_a_segment_that_is_missing_breaks_the_download(swift):
    driver = store(swift, **SEGMENTED)
    url = driver.write("key", Stream(DATA), None).url
    container = driver.properties()["container"]
    names = sorted(held(client(swift), driver))

    client(swift).delete_object(container, names[-1])

    with pytest.raises(errors.StoreUnavailable):
        read_all(driver, url)
    driver.delete(url)
    assert held(client(swift), driver) == []


def test_a_manifest_that_came_after_a_discard_is_no_image(swift):
    driver = store(swift, **SEGMENTED)
    driver.write("key", Stream(DATA), None)
    container = driver.properties()["container"]
    for name in held(client(swift), driver):
        if name != "key":
            client(swift).delete_object(container, name)

    url = driver.write("key", Stream(b"newer"), None).url

    assert read_all(driver, url) == b"newer"
    driver.delete(url)


@pytest.mark.parametrize("kind", ["dynamic", "static", "plain"])
def test_an_image_of_the_incumbent_is_read_and_deleted(swift, kind):
    driver = store(swift)
    container = driver.properties()["container"]
    connection = client(swift)
    connection.put_container(container)
    half = len(DATA) // 2
    if kind == "plain":
        connection.put_object(container, "image", DATA)
    else:
        connection.put_object(container, "image-00001", DATA[:half])
        connection.put_object(container, "image-00002", DATA[half:])
    if kind == "dynamic":
        headers = {"X-Object-Manifest": f"{container}/image-"}
        connection.put_object(container, "image", b"", headers=headers)
    if kind == "static":
        paths = [f"/{container}/image-00001", f"/{container}/image-00002"]
        connection.put_object(
            container,
            "image",
            json.dumps([{"path": path} for path in paths]),
            query_string="multipart-manifest=put",
        )
    connection.put_object(container, "image2", b"another")
    url = f"swift+http://test%3Atester:testing@127.0.0.1/v3/{container}/image"

    assert driver.size(url) == len(DATA)
    assert read_all(driver, url, half - 5, 10) == DATA[half - 5 : half + 5]
    assert read_all(driver, url) == DATA
    driver.delete(url)
    assert held(connection, driver) == ["image2"]


def test_a_listing_of_swift_knows_sizes(swift):
    driver = store(swift, **SEGMENTED)
    url = driver.write("key", Stream(DATA), None).url

    assert [each.size for each in driver.listing()] == [len(DATA)]
    driver.delete(url)
