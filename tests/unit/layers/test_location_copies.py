"""Images that lie in several stores: read from the best, deleted from all (✗30)."""

import io

import pytest

from imageservice import errors
from imageservice.data import inspect
from imageservice.data.signature import Rules, Signatures
from imageservice.domain.image import Location
from imageservice.layers import location
from imageservice.layers.base import stack
from imageservice.services.interfaces import Doomed, Lease, Redirect
from imageservice.stores.driver import Capability
from imageservice.stores.memory import Memory
from imageservice.stores.registry import Store, Stores
from imageservice.wsgi import threads
from tests.signing import Kept

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


class Signing(Shelf):
    """A store that lets clients fetch for themselves, if it has what it takes."""

    capabilities = Shelf.capabilities | Capability.REDIRECT
    has_key = True

    def redirect(self, url, lifetime_s):
        if not self.has_key:
            raise errors.StoreDenied(store=self.name, reason="no key")
        return f"https://{self.name}/{lifetime_s}"

    def size(self, url):
        self._try()
        return super().size(url)


class Rows:
    """The service within: remembers how a deletion ended."""

    def __init__(self):
        self.ended = []
        self.now = None  # the image, when it is read again

    def find(self, ctx, image_id):
        if self.now is None:
            raise errors.ImageNotFound(image_id=image_id)
        return self.now

    def doom(self, ctx, image):
        return Doomed(LEASE, image.locations)

    def spare(self, doomed):
        self.ended.append("spared")

    def bury(self, doomed):
        self.ended.append("buried")

    def doom_copy(self, ctx, image, copy):
        self.ended.append(f"{copy.store} hidden")
        return LEASE

    def spare_copy(self, lease):
        self.ended.append("spared")

    def bury_copy(self, lease):
        self.ended.append("buried")

    def abandon(self, lease):
        self.ended.append("left to housekeeping")

    def claim_anew(self, ctx, image, copy):
        self.ended.append(f"{copy.store} claimed")
        return LEASE

    def release(self, lease):
        self.ended.append("released")


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
    digests = location.Digests("sha512", inspect.Rules(), Signatures(Kept(), Rules()))
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


class Breaking:
    """Bytes that end in an error; the last of them is left out."""

    def __init__(self, chunks, trouble):
        self._chunks = chunks
        self._trouble = trouble
        self.is_closed = False

    def __iter__(self):
        for chunk in self._chunks:
            yield bytes(chunk)[:-1]
        raise self._trouble

    def close(self):
        self._chunks.close()
        self.is_closed = True


def breaking(shelf):
    """Let a store break off all that is read from it from now on; what it gave."""
    given = []
    whole = shelf.read

    def read(url, offset=0, length=None):
        trouble = errors.StoreUnavailable(store=shelf.name, reason="cut")
        given.append(Breaking(whole(url, offset, length), trouble))
        return given[-1]

    shelf.read = read
    return given


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


@pytest.fixture
def moved(image, rows):
    """The image as it was before its far copy was moved to the near store."""
    far, near = image.locations
    rows.now = image._replace(locations=(near,))
    return image._replace(locations=(far,))


def test_a_copy_that_was_moved_meanwhile_is_read_where_it_is(
    images, a_caller, moved, shelves
):
    shelves["far"].refusal = errors.KeyNotFound(store="far", key="i1")

    assert read(images, a_caller(), moved) == b"near"


def test_a_copy_that_is_moved_while_it_is_read_is_continued_where_it_is(
    images, a_caller, moved, shelves
):
    breaking(shelves["far"])

    assert read(images, a_caller(), moved) == b"far" + b"r"


def test_a_copy_that_breaks_is_continued_from_the_next(
    images, a_caller, image, shelves
):
    given = breaking(shelves["near"])

    assert read(images, a_caller(), image) == b"nea" + b"!"
    assert given[0].is_closed


def test_a_range_is_continued_where_it_broke(images, a_caller, image, shelves):
    breaking(shelves["near"])

    opened = images.download(a_caller(), image, 1, 3, ())

    assert opened.size == 2
    assert b"".join(map(bytes, opened.chunks)) == b"e" + b"r"


def test_when_the_last_copy_breaks_the_download_does(images, a_caller, image, shelves):
    for shelf in shelves.values():
        breaking(shelf)

    with pytest.raises(errors.StoreUnavailable, match="far"):
        read(images, a_caller(), image)


def test_the_break_is_told_when_the_other_copy_is_gone(
    images, a_caller, image, shelves
):
    breaking(shelves["near"])
    shelves["far"].delete(image.locations[0].url)

    with pytest.raises(errors.StoreUnavailable, match="near"):
        read(images, a_caller(), image)


def test_a_location_that_leads_nowhere_is_no_mistake_of_the_reader(
    images, a_caller, image, shelves
):
    shelves["far"].refusal = errors.LocationInvalid(store="far")
    assert read(images, a_caller(), image, "far") == b"near"

    shelves["near"].refusal = errors.LocationInvalid(store="near")
    with pytest.raises(errors.StoreUnavailable):
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


@pytest.mark.parametrize("trouble", [errors.RemainsLeft, errors.NoAnswer])
def test_bytes_that_may_go_at_any_time_count_as_removed(
    images, a_caller, image, shelves, rows, trouble
):
    shelves["far"].refusal = trouble(store="far", reason="it hangs")

    images.delete(a_caller(), image)

    assert rows.ended == ["left to housekeeping"]


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


def test_one_copy_is_hidden_and_then_removed(images, a_caller, image, shelves, rows):
    images.remove_copy(a_caller(), image, "far")

    assert [shelf.held() for shelf in shelves.values()] == [["i1"], []]
    assert rows.ended == ["far hidden", "buried"]


def test_a_copy_in_use_stays(images, a_caller, image, shelves, rows):
    shelves["far"].refusal = in_use("far")

    with pytest.raises(errors.KeyInUse):
        images.remove_copy(a_caller(), image, "far")

    assert rows.ended == ["far hidden", "spared"]


def test_a_copy_whose_store_fails_is_not_shown_again(
    images, a_caller, image, shelves, rows
):
    shelves["far"].refusal = errors.StoreUnavailable(store="far", reason="timeout")

    images.remove_copy(a_caller(), image, "far")

    assert rows.ended == ["far hidden", "left to housekeeping"]


@pytest.mark.parametrize(
    ("changes", "store", "refusal"),
    [
        ({"status": "deactivated"}, "far", errors.ImageUnfinished),
        ({"locations": ()}, "far", errors.CopyNotFound),
        ({}, "third", errors.CopyNotFound),
    ],
    ids=["deactivated", "no copies", "not there"],
)
def test_what_cannot_be_removed_is_not_touched(
    images, a_caller, image, rows, changes, store, refusal
):
    with pytest.raises(refusal):
        images.remove_copy(a_caller(), image._replace(**changes), store)
    assert rows.ended == []


def test_the_only_copy_is_kept(images, a_caller, image, rows):
    alone = image._replace(locations=image.locations[:1])
    with pytest.raises(errors.LastCopy):
        images.remove_copy(a_caller(), alone, "near")
    assert rows.ended == []


# --- redirects ---------------------------------------------------------------


@pytest.fixture
def signing(shelves):
    shelves["near"] = Signing("near", threads.Workers())
    return shelves["near"]


@pytest.fixture
def redirecting(signing, shelves, rows):
    stores = Stores(
        [
            Store("near", signing, weight=10, default=True, redirect_s=60),
            Store("far", shelves["far"]),
        ],
        multi=True,
    )
    digests = location.Digests("sha512", inspect.Rules(), Signatures(Kept(), Rules()))
    return stack(location.Images(stores, threads.Workers(), digests), rows)


def ask(images, ctx, image, *prefer):
    return images.download(ctx, image, 0, None, prefer, may_redirect=True)


def test_a_store_that_redirects_is_named_with_its_lifetime(
    redirecting, a_caller, image
):
    assert ask(redirecting, a_caller(), image) == Redirect("https://near/60", "near")


def test_who_must_not_be_redirected_gets_the_bytes(redirecting, a_caller, image):
    assert read(redirecting, a_caller(), image) == b"near"


def test_a_store_that_can_and_is_not_told_to_does_not_redirect(
    signing, images, a_caller, image
):
    assert not isinstance(ask(images, a_caller(), image), Redirect)


def test_a_copy_that_is_read_before_is_not_passed_over_for_a_redirect(
    redirecting, a_caller, image
):
    chunks = ask(redirecting, a_caller(), image, "far").chunks

    assert b"".join(chunks) == b"far!"


@pytest.mark.parametrize(
    "refusal",
    [
        errors.KeyNotFound(store="near", key="i1"),
        errors.StoreUnavailable(store="near", reason="off"),
    ],
    ids=["gone", "off"],
)
def test_nobody_is_sent_to_a_store_that_would_not_answer(
    redirecting, a_caller, image, signing, refusal
):
    signing.refusal = refusal

    assert b"".join(ask(redirecting, a_caller(), image).chunks) == b"far!"


def test_nobody_is_sent_to_bytes_that_are_too_few(redirecting, a_caller, image):
    with pytest.raises(errors.StoreUnavailable):
        ask(redirecting, a_caller(), image._replace(size=5))


def test_without_a_key_the_bytes_pass_the_service(
    redirecting, a_caller, image, signing
):
    signing.has_key = False

    assert b"".join(ask(redirecting, a_caller(), image).chunks) == b"near"


def test_a_deactivated_image_is_not_redirected(redirecting, a_caller, image):
    with pytest.raises(errors.ImageDeactivated):
        ask(redirecting, a_caller(), image._replace(status="deactivated"))


@pytest.mark.parametrize(
    ("refusal", "ended"),
    [
        (errors.KeyInUse(store="far", key="i1", reason="clones"), "released"),
        (errors.StoreDenied(store="far", reason="no"), "released"),
        (errors.StoreUnavailable(store="far", reason="x"), "left to housekeeping"),
        (errors.RemainsLeft(store="far", reason="half"), "left to housekeeping"),
    ],
)
def test_a_bad_copy_that_does_not_go_is_not_written_again(
    images, shelves, rows, image, refusal, ended
):
    bad = image.locations[0]
    shelves["far"].refusal = refusal

    with pytest.raises(type(refusal)):
        images.replace_copy(None, image, bad)

    assert rows.ended == ["far claimed", ended]
    shelves["far"].refusal = None
    assert b"".join(shelves["far"].read(bad.url)) == b"far!"
