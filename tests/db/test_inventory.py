"""What audits ask the database, on every database."""

import uuid

import pytest

from imageservice import errors
from imageservice.db.inventory import Inventory
from tests.db.factories import ADMIN, NOW, Bytes, an_image, at_once


@pytest.fixture
def inventory(database):
    return Inventory(database, page=2)


@pytest.fixture
def copy(images):
    """Makes finished images with a copy in a store; returns an id."""

    def copy(store, url="file:///images/1", **changes):
        image = images.insert(an_image(**changes))
        images.claim(image.id, "queued", "saving", image.id, "worker", store, NOW)
        images.attach(image.id, image.id, Bytes(url=url, size=60), store, NOW)
        return image.id

    return copy


def test_copies_come_store_by_store_in_pages(inventory, copy):
    mine = [copy("fast", f"file:///images/{number}") for number in range(5)]
    copy("cold")

    found = list(inventory.copies("fast"))

    assert [each.image_id for each in found] == mine
    assert [each.url[-1] for each in found] == list("01234")
    assert {(each.size, each.is_settled, each.is_leased) for each in found} == {
        (60, True, False)
    }
    assert inventory.again(found[0]) == found[0]
    assert inventory.of(mine[1]) == [("fast", found[1])]


def test_whoever_names_a_key_is_found_however_he_spells_it(inventory, copy, images):
    key = str(uuid.uuid4())
    mine = [copy("fast", f"FILE:///./images/{key}"), copy("cold", f"rbd://a/b/{key}/s")]
    copy("fast", f"file:///images/{uuid.uuid4()}")

    assert [each.image_id for _, each in inventory.naming(key)] == mine
    images.doom(mine[0], "token", "worker", NOW)
    assert [each.image_id for _, each in inventory.naming(key)] == mine


def test_what_is_on_its_way_out_is_not_settled(inventory, copy, images):
    image_id = copy("fast")
    (before,) = inventory.copies("fast")

    images.doom(image_id, "token", "worker", NOW)

    (after,) = inventory.copies("fast")
    assert (after.is_settled, after.is_leased) == (False, True)
    assert inventory.again(before) != before
    assert not inventory.state(image_id).is_settled
    images.bury("token", image_id, NOW)
    assert inventory.again(before) is None
    assert inventory.state(image_id).is_settled


def test_images_that_lack_a_copy_are_found(inventory, copy, images):
    fast, cold = sorted([copy("fast"), copy("fast")]), copy("cold")
    images.insert(an_image())  # queued

    assert list(inventory.missing("cold", None).ids) == fast
    assert list(inventory.missing("cold", "fast").ids) == fast
    assert list(inventory.missing("fast", None).ids) == [cold]
    assert list(inventory.missing("cold", "third").ids) == []
    assert list(inventory.images_in("fast").ids) == fast


def test_a_burned_id_is_never_given(inventory, images, usage):
    image_id = str(uuid.uuid4())

    assert inventory.burn(image_id, NOW)
    assert inventory.burn(image_id, NOW)

    with pytest.raises(errors.ImageIdTaken):
        images.insert(an_image(id=image_id))
    assert inventory.state(image_id).status is None


def test_the_id_of_an_image_is_not_burned(inventory, copy, images):
    image_id = copy("fast")

    assert not inventory.burn(image_id, NOW)

    assert images.show(image_id, ADMIN).status == "active"


def test_an_id_is_burned_or_used_never_both(inventory, images):
    for _ in range(5):
        image_id = str(uuid.uuid4())

        burned, created = at_once(
            lambda id=image_id: inventory.burn(id, NOW),
            lambda id=image_id: images.insert(an_image(id=id)),
        )

        is_created = not isinstance(created, Exception)
        assert burned is (not is_created)
        assert is_created or isinstance(created, errors.ImageIdTaken)
