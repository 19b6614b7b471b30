"""Images that lie in several stores: read from the best, deleted from all (✗30)."""

import io

import pytest

from imageservice import errors
from imageservice.data import inspect
from imageservice.domain.image import Location
from imageservice.layers import location
from imageservice.layers.base import stack
from imageservice.services.interfaces import Doomed, Lease
from imageservice.stores.memory import Memory
from imageservice.stores.registry import Store, Stores
from imageservice.wsgi import threads

LEASE = Lease("i1", "token", "")


class Shelf(Memory):
    """A store that can be made to refuse."""

    refusal = None

    def _try(self):
        if self.refusal is not None:
            raise self.refusal

    def delete(self, url):
        self._try()
        super().delete(url)

    def read(self, url, offset=0, length=None):
        self._try()
        return super().read(url, offset, length)


class Rows:
    """The service within: remembers how a deletion ended."""

    def __init__(self):
        self.ended = []

    def doom(self, ctx, image):
        return Doomed(LEASE, image.locations)

    def spare(self, doomed):
        self.ended.append("spared")

    def bury(self, doomed):
        self.ended.append("buried")

    def abandon(self, lease):
        self.ended.append("left to housekeeping")


@pytest.fixture
def shelves():
    return {name: Shelf(name, threads.Workers()) for name in ("near", "far")}


@pytest.fixture
def rows():
    return Rows()


@pytest.fixture
def images(shelves, rows):
    stores = Stores(
        [
            Store("near", shelves["near"], weight=10, default=True),
            Store("far", shelves["far"]),
        ],
        multi=True,
    )
    digests = location.Digests("sha512", inspect.Rules())
    return stack(location.Images(stores, threads.Workers(), digests), rows)


@pytest.fixture
def image(an_image, shelves):
    """An image whose copies say where they lie; the far one was made first."""
    copies = [
        Location(name, shelves[name].write("i1", io.BytesIO(data), None).url, {})
        for name, data in (("far", b"far!"), ("near", b"near"))
    ]
    return an_image(size=4, locations=tuple(copies))


def read(images, ctx, image, *prefer):
    chunks = images.download(ctx, image, 0, None, prefer).chunks
    return b"".join(bytes(chunk) for chunk in chunks)


def in_use(store):
    return errors.KeyInUse(store=store, key="i1", reason="a clone")


def test_the_store_of_highest_weight_is_read_first(images, a_caller, image):
    assert read(images, a_caller(), image) == b"near"


def test_a_preferred_store_is_read_before_it(images, a_caller, image):
    assert read(images, a_caller(), image, "far") == b"far!"


@pytest.mark.parametrize(
    "refusal",
    [
        errors.KeyNotFound(store="near", key="i1"),
        errors.StoreUnavailable(store="near", reason="off"),
    ],
    ids=["gone", "off"],
)
def test_the_next_store_is_read_when_one_fails(
    images, a_caller, image, shelves, refusal
):
    shelves["near"].refusal = refusal

    assert read(images, a_caller(), image) == b"far!"


def test_when_all_copies_have_gone_there_is_no_data(images, a_caller, image, shelves):
    for name, shelf in shelves.items():
        shelf.refusal = errors.KeyNotFound(store=name, key="i1")

    with pytest.raises(errors.NoData):
        read(images, a_caller(), image)


def test_an_image_is_deleted_from_every_store(images, a_caller, image, shelves, rows):
    images.delete(a_caller(), image)

    assert [shelf.held() for shelf in shelves.values()] == [[], []]
    assert rows.ended == ["buried"]


def unsupported(store):
    return errors.Unsupported(store=store, what="delete data")


def test_bytes_on_a_server_of_others_stay_where_they_are(
    images, a_caller, image, shelves, rows
):
    shelves["far"].refusal = unsupported("far")

    images.delete(a_caller(), image)

    assert [shelf.held() for shelf in shelves.values()] == [[], ["i1"]]
    assert rows.ended == ["buried"]


def test_bytes_that_stay_do_not_count_as_removed(
    images, a_caller, image, shelves, rows
):
    shelves["far"].refusal = unsupported("far")
    shelves["near"].refusal = in_use("near")

    with pytest.raises(errors.KeyInUse):
        images.delete(a_caller(), image)

    assert rows.ended == ["spared"]


def test_a_store_that_refuses_first_saves_the_image(
    images, a_caller, image, shelves, rows
):
    shelves["far"].refusal = in_use("far")

    with pytest.raises(errors.KeyInUse):
        images.delete(a_caller(), image)

    assert shelves["near"].held() == ["i1"]
    assert rows.ended == ["spared"]


def test_a_store_that_refuses_later_is_asked_again_later(
    images, a_caller, image, shelves, rows
):
    shelves["near"].refusal = in_use("near")

    images.delete(a_caller(), image)

    assert shelves["far"].held() == []
    assert rows.ended == ["left to housekeeping"]


def test_a_copy_that_has_gone_already_is_no_obstacle(
    images, a_caller, image, shelves, rows
):
    shelves["far"].refusal = errors.KeyNotFound(store="far", key="i1")

    images.delete(a_caller(), image)

    assert rows.ended == ["buried"]
