"""Uploads and deletions over real rows, when something fails at an awkward moment."""

import logging

import pytest

from imageservice import errors
from imageservice.db.usage import Usage, Used
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.changes import Change
from imageservice.layers import quota
from imageservice.layers.base import stack
from imageservice.limits.allowances import Same
from imageservice.stores.filesystem import File
from imageservice.stores.registry import Store, Stores
from imageservice.wsgi import threads
from tests.unit.layers.node import CTX, Body, Leaving, Node, uploaded


def taken_over(by, image):
    """Have another worker take an upload for dead, and undo it."""
    (row,) = by.lease_rows.watch()
    lease = by.leases.begin(row.image_id, row.store, row.purpose)
    by.lease_rows.take_over(
        row.image_id, row.token, row.beat, lease.token, by.leases.worker
    )
    by.leases.abandon(lease)
    by.housekeeping.look()
    by.housekeeping.clean_up()
    assert by.status(image) == "queued"


# --- deletions ---


def test_a_deletion_whose_end_the_database_did_not_take_is_finished_later(node, image):
    image = uploaded(node, image)
    node.rows.away = {"bury"}
    node.images.delete(CTX, image)  # nobody sees it again, so it is done
    node.rows.away = ()
    assert node.status(image) is None

    node.housekeeping.look()
    node.housekeeping.clean_up()

    with pytest.raises(errors.ImageIdTaken):
        node.services.create(CTX, image, UNLIMITED)
    assert node.lease_rows.watch() == []


def test_an_image_that_could_not_be_spared_is_not_forgotten(node, image, store, names):
    image = uploaded(node, image)
    store.clings = True
    node.rows.away = {"spare"}
    with pytest.raises(errors.Error):
        node.images.delete(CTX, image)
    store.clings = False
    node.rows.away = ()

    node.housekeeping.look()
    node.housekeeping.clean_up()

    assert names() == set()
    assert node.lease_rows.watch() == []


# --- uploads ---


def test_an_upload_that_could_not_be_released_is_undone_later(node, image):
    def breaks():
        raise errors.BodyBroken(reason="gone")

    node.rows.away = {"release"}
    with pytest.raises(errors.BodyBroken):
        node.images.upload(CTX, image, Body(before=breaks), 4, None)
    node.rows.away = ()

    node.housekeeping.look()
    node.housekeeping.clean_up()

    assert node.status(image) == "queued"


def test_a_worker_that_slept_before_it_opened_its_file_leaves_no_bytes(
    nodes, image, names
):
    slept, other = nodes
    claim = slept.services.claim

    def claim_and_sleep(*args):
        lease = claim(*args)
        taken_over(other, image)
        return lease

    slept.services.claim = claim_and_sleep
    with pytest.raises(errors.LeaseLost):
        slept.images.upload(CTX, image, Body(), 4, None)

    assert names() == set()
    other.images.upload(CTX, image, Body(b"others"), 6, None)
    assert other.status(image) == "active"


def test_a_worker_that_slept_after_its_last_block_keeps_no_lease(nodes, image, caplog):
    slept, other = nodes
    attach = slept.services.attach

    def sleep_and_attach(*args):
        taken_over(other, image)
        return attach(*args)

    slept.services.attach = sleep_and_attach
    with pytest.raises(errors.LeaseLost):
        slept.images.upload(CTX, image, Body(), 4, None)

    with caplog.at_level(logging.WARNING):
        slept.leases.beat()
    assert caplog.messages == []


def test_a_lease_that_was_lost_is_told_once_and_names_the_image(nodes, image, caplog):
    slept, other = nodes
    lease = slept.services.claim(CTX, image, "shelf", None, UNLIMITED)
    taken_over(other, image)

    with caplog.at_level(logging.WARNING, "imageservice.services.leases"):
        slept.leases.beat()
        slept.leases.beat()

    assert len(caplog.messages) == 1
    with pytest.raises(errors.LeaseLost, match=image.id):
        slept.services.holds(lease)


def test_an_upload_is_refused_when_the_formats_it_would_be_judged_by_have_changed(
    node, image, names
):
    change = Change("replace", "disk_format", "qcow2")
    node.services.update(CTX, image, [change])

    with pytest.raises(errors.ImageChanged):
        node.images.upload(CTX, image, Body(), 4, None)

    assert node.status(image) == "queued"
    assert names() == set()


def test_an_upload_goes_on_when_something_else_has_changed(node, image):
    node.services.update(CTX, image, [Change("replace", "name", "other")])

    assert uploaded(node, image).status == "active"


# --- stores that are not configured any more ---


def test_data_in_a_store_that_is_gone_is_no_mistake_of_the_caller(
    tmp_path, node, image
):
    image = uploaded(node, image)
    (tmp_path / "new").mkdir()
    options = {"filesystem_store_datadir": str(tmp_path / "new")}
    other = File.configured("other", options, threads.Workers())
    later = Node(
        node.database, Stores([Store("other", other, default=True)], multi=True)
    )

    with pytest.raises(errors.StoreUnavailable, match="shelf"):
        later.images.download(CTX, image, 0, None, ())
    with pytest.raises(errors.StoreUnavailable, match="shelf"):
        later.images.delete(CTX, image)

    assert node.status(image) == "active"


def test_what_a_failed_write_left_is_removed_before_the_image_is_queued_again(
    tmp_path, node, image, names
):
    options = {"filesystem_store_datadir": str(tmp_path / "images")}
    leaving = Leaving.configured("shelf", options, threads.Workers())
    stores = Stores([Store("shelf", leaving, default=True)], multi=True)
    node = Node(node.database, stores)

    with pytest.raises(errors.RemainsLeft):
        uploaded(node, image)
    assert node.status(image) == "saving"
    assert names() == {image.id}

    node.housekeeping.look()
    node.housekeeping.clean_up()

    assert node.status(image) == "queued"
    assert names() == set()


@pytest.fixture
def crowded(node):
    """The rings over the rows of ``node``, for a project that may have ten bytes."""

    ten = Same(UNLIMITED._replace(bytes=10))
    inner = node.images.inner
    return stack(quota.Images(quota.Limits(), ten), inner)


@pytest.mark.parametrize("size", [None, 11], ids=["unknown", "announced"])
def test_an_upload_without_room_leaves_nothing(crowded, node, image, names, size):
    with pytest.raises(errors.ProjectLimit, match="10 allowed"):
        crowded.upload(CTX, image, Body(b"x" * 11), size, None)

    assert names() == set()
    assert node.status(image) == "queued"
    assert Usage(node.database).of("p") == Used(images=1)


@pytest.mark.parametrize("size", [None, 10], ids=["unknown", "announced"])
def test_an_upload_takes_the_last_byte(crowded, node, image, size):
    crowded.upload(CTX, image, Body(b"x" * 10), size, None)

    assert Usage(node.database).of("p") == Used(images=1, bytes=10)


@pytest.mark.parametrize("size", [None, 9], ids=["unknown", "announced"])
def test_room_is_given_back_when_the_bytes_end_badly(crowded, node, image, size):
    def breaks():
        assert Usage(node.database).of("p").uploading == 1
        raise errors.BodyBroken(reason="gone")

    with pytest.raises(errors.BodyBroken):
        crowded.upload(CTX, image, Body(before=breaks), size, None)

    assert Usage(node.database).of("p") == Used(images=1)


def test_bytes_that_a_store_does_not_let_go_of_stay_charged(
    crowded, node, image, store
):
    crowded.upload(CTX, image, Body(), 4, None)
    store.clings = True

    with pytest.raises(errors.KeyInUse):
        crowded.delete(CTX, image)
    assert Usage(node.database).of("p") == Used(images=1, bytes=4)

    store.clings = False
    node.rows.away = {"bury"}
    crowded.delete(CTX, image)
    assert Usage(node.database).of("p") == Used(bytes=4)
    node.rows.away = frozenset()
    node.housekeeping.clean_up()
    assert Usage(node.database).of("p") == Used()
