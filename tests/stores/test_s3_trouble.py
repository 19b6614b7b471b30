"""The S3 store when connections break, gateways hang, keys change and writers compete."""

from collections.abc import Callable, Iterator

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.locks import PREFIX, Locks
from imageservice.stores.s3 import S3
from imageservice.stores.testing import (
    Stream,
    pattern,
    read_all,
)
from tests.stores.buckets import emptied, everything, new_name, on
from tests.stores.ceph import Ceph
from tests.stores.wire import Wire

pytestmark = pytest.mark.servers

PARTS = 23 * BLOCK + 5
"""Bytes of an upload in five parts of 5 MiB or less."""


@pytest.fixture
def name() -> str:
    return new_name()


@pytest.fixture
def driver(ceph: Ceph, name: str) -> Iterator[S3]:
    with emptied(on(ceph, bucket=name, large_object_chunk_size=5)) as store:
        yield store


@pytest.fixture
def wire(ceph: Ceph) -> Iterator[Wire]:
    with Wire(ceph.gateway_port) as wire:
        yield wire


@pytest.fixture
def wired(ceph: Ceph, driver: S3, name: str, wire: Wire) -> S3:
    """The same store over a wire that can be cut."""
    return on(ceph, host=wire.url, bucket=name, large_object_chunk_size=5)


# --- one writer ---


class Impatient(Locks):
    """Takes every lock for one that was left behind."""

    longest_s = 0


def test_nobody_publishes_while_another_does(driver):
    with Locks(driver._bucket).held("key"):
        with pytest.raises(errors.StoreUnavailable, match="being published"):
            driver.write("key", Stream(b"data"), 4)
        with pytest.raises(errors.StoreUnavailable):
            driver.discard("key")


def test_the_lock_of_a_dead_writer_is_broken_in_the_end(driver):
    driver._bucket.put_new(f"{PREFIX}key", "dead")
    driver._locks = Impatient(driver._bucket)

    written = driver.write("key", Stream(b"data"), 4)

    driver.delete(written.url)


# --- connections that break ---


@pytest.mark.parametrize("after", [0, 1000, 3 * BLOCK, 7 * BLOCK])
def test_a_download_goes_on_where_the_connection_broke(driver, wired, wire, after):
    data = pattern(8 * BLOCK)
    url = driver.write("key", Stream(data), None).url
    wire.cut_after = after

    assert read_all(wired, url, 5) == data[5:]

    assert wire.cuts == 1
    driver.delete(url)


def test_a_download_that_breaks_again_and_again_fails(driver, wired, wire):
    url = driver.write("key", Stream(pattern(8 * BLOCK)), None).url

    def again() -> None:
        wire.cut_after = 0

    wire.on_cut = again
    wire.cut_after = 3 * BLOCK

    with pytest.raises(errors.StoreUnavailable):
        read_all(wired, url)

    driver.delete(url)


def test_a_removal_whose_answers_are_lost_may_have_been_done(driver, wired, wire):
    url = driver.write("key", Stream(b"data"), 4).url

    def again() -> None:
        wire.swallows = b"DELETE "

    again()
    wire.on_cut = again

    with pytest.raises(errors.RemainsLeft):
        wired.delete(url)

    with pytest.raises(errors.KeyNotFound):
        driver.delete(url)


def test_a_download_does_not_go_on_in_another_object(driver, wired, wire):
    url = driver.write("key", Stream(pattern(8 * BLOCK)), None).url

    def replace() -> None:
        driver.delete(url)
        driver.write("key", Stream(bytes(8 * BLOCK)), None)

    wire.on_cut = replace
    wire.cut_after = 3 * BLOCK

    with pytest.raises(errors.StoreUnavailable):
        read_all(wired, url)

    driver.delete(url)


def test_an_upload_goes_on_after_a_broken_connection(driver, wired, wire):
    data = pattern(PARTS)
    stream = Stream(data, at=12 * BLOCK, then=lambda: setattr(wire, "cut_after", 0))

    url = wired.write("key", stream, None).url

    assert wire.cuts == 1
    assert read_all(driver, url) == data
    driver.delete(url)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"?uploads", id="begin"),
        pytest.param(b"<CompleteMultipartUpload", id="end"),
        pytest.param(b"PUT /{}/.publishing", id="lock"),
        pytest.param(b"HEAD /{}/key", id="look"),
    ],
)
def test_an_answer_that_is_lost_changes_nothing(driver, wired, wire, name, request_):
    wire.swallows = request_.replace(b"{}", name.encode())

    url = wired.write("key", Stream(b"data"), 4).url

    assert wire.cuts == 1
    assert read_all(driver, url) == b"data"
    driver.delete(url)
    driver.discard("key")  # of an upload whose beginning was lost, begun again since


def test_a_download_goes_on_when_the_gateway_restarts(ceph, driver):
    data = pattern(PARTS)
    url = driver.write("key", Stream(data), None).url
    found = []

    for chunk in driver.read(url):
        found.append(bytes(chunk))
        if len(found) == 3:
            ceph.restart("gateway")

    assert b"".join(found) == data
    driver.delete(url)


def test_an_upload_during_a_restart_is_whole_or_leaves_nothing(ceph, driver):
    """Parts that are under way then may be out of luck three times."""
    data = pattern(PARTS)
    stream = Stream(data, at=12 * BLOCK, then=lambda: ceph.restart("gateway"))

    try:
        url = driver.write("key", stream, None).url
    except errors.StoreUnavailable:
        assert everything(driver) == []
    else:
        assert read_all(driver, url) == data
        driver.delete(url)


@pytest.fixture
def frozen(ceph: Ceph) -> Iterator[Callable[[], None]]:
    """Stops the gateway; it goes on after the test."""
    yield lambda: ceph.freeze("gateway")
    ceph.thaw("gateway")


def test_a_gateway_that_hangs_ends_in_an_error(ceph, driver, name, frozen):
    hasty = on(ceph, bucket=name, connect_timeout=1, read_timeout=1)
    frozen()

    with pytest.raises(errors.StoreUnavailable):
        hasty.check()
    with pytest.raises(errors.StoreUnavailable):
        hasty.size(f"s3://{name}/key")

    ceph.thaw("gateway")
    hasty.discard("key")


def test_a_gateway_that_hangs_in_mid_upload_is_cleaned_up_later(
    ceph, driver, name, frozen
):
    hasty = on(
        ceph, bucket=name, read_timeout=1, connect_timeout=1, large_object_chunk_size=5
    )
    stream = Stream(pattern(PARTS), at=12 * BLOCK, then=frozen)

    with pytest.raises(errors.RemainsLeft):
        hasty.write("key", stream, None)

    ceph.thaw("gateway")
    hasty.discard("key")


def test_a_gateway_that_hangs_in_mid_download_breaks_it(ceph, driver, name, frozen):
    url = driver.write("key", Stream(pattern(PARTS)), None).url
    hasty = on(ceph, bucket=name, read_timeout=1, connect_timeout=1)
    chunks = iter(hasty.read(url))
    next(chunks)
    frozen()

    with pytest.raises(errors.StoreUnavailable):
        for _ in chunks:
            pass

    ceph.thaw("gateway")
    driver.delete(url)


def test_a_closed_port_ends_in_an_error(ceph, name):
    nowhere = on(ceph, host="127.0.0.1:9", bucket=name)

    with pytest.raises(errors.StoreUnavailable) as raised:
        nowhere.write("key", Stream(b"data"), 4)

    assert not isinstance(raised.value, errors.RemainsLeft)


# --- keys, buckets ---


@pytest.mark.parametrize("wrong", ["access_key", "secret_key"])
def test_wrong_keys_are_told_apart_from_a_store_that_is_down(ceph, name, wrong):
    store = on(ceph, bucket=name, **{wrong: "wrong"})

    with pytest.raises(errors.StoreDenied):
        store.check()
    with pytest.raises(errors.StoreDenied):
        store.write("key", Stream(b"data"), 4)


def test_keys_that_change_in_mid_upload_leave_work_for_discard(ceph, driver, name):
    old = on(ceph, bucket=name, access_key="OLD", large_object_chunk_size=5)
    secret = ceph.account.secret_key
    ceph.admin(
        "key", "create", "--uid=test", "--access-key=OLD", f"--secret-key={secret}"
    )

    def rotate() -> None:
        ceph.admin("key", "rm", "--uid=test", "--access-key=OLD")
        ceph.restart("gateway")  # it remembers keys for a while

    with pytest.raises(errors.RemainsLeft):
        old.write("key", Stream(pattern(PARTS), at=12 * BLOCK, then=rotate), None)

    driver.discard("key")


def test_a_missing_bucket_is_made_only_when_that_is_allowed(ceph, name):
    careful = on(ceph, bucket=name, create_bucket_on_put=False)
    with pytest.raises(errors.StoreDenied, match="s3_store_create_bucket_on_put"):
        careful.check()
    with pytest.raises(errors.StoreDenied):
        careful.write("key", Stream(b"data"), 4)
    for call in (careful.read, careful.size, careful.delete):
        with pytest.raises(errors.StoreDenied):
            call(f"s3://{name}/key")
    generous = on(ceph, bucket=name)

    generous.check()
    generous.discard("key")
    url = generous.write("key", Stream(b"data"), 4).url

    assert read_all(careful, url) == b"data"
    careful.delete(url)


def test_a_full_account_refuses_and_keeps_nothing(ceph, driver):
    with ceph.quota("test", "--max-size=1M"), pytest.raises(errors.StoreFull):
        driver.write("key", Stream(pattern(PARTS)), PARTS)


def test_discard_works_where_there_is_no_room_for_a_lock(ceph, driver):
    driver.write("key", Stream(b"data"), 4)

    with ceph.quota("test", "--max-objects=1"):
        with pytest.raises(errors.StoreFull):
            driver.write("other", Stream(b"data"), 4)
        driver.discard("key")
