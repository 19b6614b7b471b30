"""The S3 store when connections break, gateways hang, keys change and writers compete."""

import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imageservice import errors
from imageservice.stores.bucket import Bucket
from imageservice.stores.driver import BLOCK
from imageservice.stores.s3 import S3
from imageservice.stores.testing import (
    REFUSAL,
    Stream,
    Zeros,
    pattern,
    raising,
    read_all,
)
from tests.stores.ceph import Ceph
from tests.stores.certificate import self_signed
from tests.stores.test_s3 import everything, on
from tests.stores.wire import Wire

pytestmark = pytest.mark.servers

PARTS = 23 * BLOCK + 5
"""Bytes of an upload in five parts of 5 MiB or less."""


@pytest.fixture
def name() -> str:
    return f"images-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def driver(ceph: Ceph, name: str) -> Iterator[S3]:
    store = on(ceph, bucket=name, large_object_chunk_size=5)
    store.create()
    yield store
    assert everything(store) == []


@pytest.fixture
def wire(ceph: Ceph) -> Iterator[Wire]:
    with Wire(ceph.gateway_port) as wire:
        yield wire


@pytest.fixture
def wired(ceph: Ceph, driver: S3, name: str, wire: Wire) -> S3:
    """The same store over a wire that can be cut."""
    return on(ceph, host=wire.url, bucket=name, large_object_chunk_size=5)


# --- parts ---


@pytest.mark.parametrize("hint", [PARTS, None])
def test_parts_sent_at_the_same_time_come_back_in_order(driver, hint):
    data = pattern(PARTS)

    written = driver.write("key", Stream(data), hint)

    assert written.size == PARTS
    assert read_all(driver, written.url) == data
    assert read_all(driver, written.url, 5 * BLOCK - 3, 7) == data[5 * BLOCK - 3 :][:7]
    driver.delete(written.url)


@pytest.mark.parametrize("size", [5 * BLOCK - 1, 5 * BLOCK, 5 * BLOCK + 1, 10 * BLOCK])
def test_sizes_around_a_part(driver, size):
    data = pattern(size)

    written = driver.write("key", Stream(data), None)

    assert read_all(driver, written.url) == data
    driver.delete(written.url)


def test_an_upload_of_unknown_size_does_not_sit_in_memory(driver):
    tracemalloc.start()
    try:
        written = driver.write("key", Zeros(200 * BLOCK), None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 64 * BLOCK
    driver.delete(written.url)


@pytest.mark.parametrize("at", [12 * BLOCK, PARTS])
def test_a_stream_that_breaks_after_some_parts_leaves_none(driver, at):
    stream = Stream(pattern(PARTS), at=at, then=raising(REFUSAL))

    with pytest.raises(errors.ContentUnsafe):
        driver.write("key", stream, PARTS)

    assert everything(driver) == []


def test_discard_removes_the_parts_of_a_dead_writer(driver):
    upload = driver._bucket.begin("key", "dead")
    other = driver._bucket.begin("key.2", "alive")

    driver.discard("key")

    assert driver._bucket.uploads("key") == []
    assert driver._bucket.uploads("key.2") == [other]
    assert upload != other
    driver.discard("key.2")


def test_parts_sent_after_a_discard_are_refused(driver):
    stream = Stream(pattern(PARTS), at=12 * BLOCK, then=lambda: driver.discard("key"))

    with pytest.raises(errors.LeaseLost):
        driver.write("key", stream, PARTS)


@pytest.mark.slow
def test_more_uploads_than_one_page_are_all_removed(driver):
    for number in range(1005):
        driver._bucket.begin("key", str(number))

    driver.discard("key")

    assert driver._bucket.uploads("key") == []


# --- one writer ---


class Impatient(Bucket):
    """Takes every lock for one that was left behind."""

    longest_s = 0


def test_nobody_publishes_while_another_does(driver):
    with driver._bucket.locked("key", "another") as is_ours:
        assert is_ours
        with pytest.raises(errors.KeyExists):
            driver.write("key", Stream(b"data"), 4)
        with pytest.raises(errors.StoreUnavailable):
            driver.discard("key")


def test_the_lock_of_a_dead_writer_is_broken_in_the_end(driver):
    with driver._bucket.locked("key", "dead"):
        driver._bucket = Impatient(driver.name, driver._plan)
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
            ceph.restart_gateway()

    assert b"".join(found) == data
    driver.delete(url)


def test_an_upload_during_a_restart_is_whole_or_leaves_nothing(ceph, driver):
    """Parts that are under way then may be out of luck three times."""
    data = pattern(PARTS)
    stream = Stream(data, at=12 * BLOCK, then=ceph.restart_gateway)

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


def test_a_cancelled_upload_leaves_nothing(driver):
    stream = Stream(pattern(PARTS), at=12 * BLOCK, then=raising(GeneratorExit()))

    with pytest.raises(GeneratorExit):
        driver.write("key", stream, PARTS)

    assert everything(driver) == []


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
        ceph.restart_gateway()  # it remembers keys for a while

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


def test_a_full_account_refuses_and_keeps_nothing(ceph, driver, name):
    ceph.admin("quota", "set", "--quota-scope=bucket", "--uid=test", "--max-size=1M")
    ceph.admin("quota", "enable", "--quota-scope=bucket", "--uid=test")
    ceph.restart_gateway()
    try:
        with pytest.raises(errors.StoreFull):
            driver.write("key", Stream(pattern(PARTS)), PARTS)
    finally:
        ceph.admin("quota", "disable", "--quota-scope=bucket", "--uid=test")
        ceph.restart_gateway()


def test_discard_works_where_there_is_no_room_for_a_lock(ceph, driver, name):
    driver.write("key", Stream(b"data"), 4)
    ceph.admin("quota", "set", "--quota-scope=bucket", "--uid=test", "--max-objects=1")
    ceph.admin("quota", "enable", "--quota-scope=bucket", "--uid=test")
    ceph.restart_gateway()
    try:
        with pytest.raises(errors.StoreFull):
            driver.write("other", Stream(b"data"), 4)
        driver.discard("key")
    finally:
        ceph.admin("quota", "disable", "--quota-scope=bucket", "--uid=test")
        ceph.restart_gateway()


# --- https ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("certificate") / "gateway.pem")


@pytest.fixture(scope="module")
def secure(
    certificate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ceph]:
    folder = tmp_path_factory.mktemp("secure")
    with Ceph(folder, gateway=True, certificate=certificate) as running:
        yield running


def test_https_with_an_authority_of_ones_own(secure, certificate, name):
    store = on(secure, host=secure.secure_url, bucket=name, cacert=str(certificate))
    data = pattern(11 * BLOCK)

    url = store.write("key", Stream(data), None).url

    assert read_all(store, url) == data
    store.delete(url)
    assert everything(store) == []


def test_a_certificate_of_an_unknown_authority_is_refused(secure, name):
    store = on(secure, host=secure.secure_url, bucket=name)

    with pytest.raises(errors.StoreUnavailable):
        store.check()


def test_newer_checksums_are_sent_when_asked_for(ceph, driver, name):
    store = on(
        ceph,
        bucket=name,
        enable_data_integrity_protection=True,
        request_checksum_calculation="when_supported",
        response_checksum_validation="when_supported",
    )
    data = pattern(11 * BLOCK)

    url = store.write("key", Stream(data), None).url

    assert read_all(store, url) == data
    store.delete(url)
