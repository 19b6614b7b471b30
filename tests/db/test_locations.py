"""Locations without an upload: their rows, their lease, and who is charged."""

from typing import Any

import pytest

from imageservice import errors
from imageservice.db.copies import Copies
from imageservice.db.images import Images
from imageservice.db.leases import Leases
from imageservice.db.locations import Claimant, Locations, Move, Moved
from imageservice.db.transitions import Room
from imageservice.db.usage import Usage, Used
from imageservice.domain.allowance import UNLIMITED, Allowance
from imageservice.domain.image import Image, Location
from imageservice.domain.lease import REMOVE, VERIFY
from imageservice.domain.proposals import Digests
from tests.db.factories import ADMIN, LATER, an_image

LOOKING = Claimant("t", "worker", VERIFY)
REMOVING = Claimant("r", "worker", REMOVE)
FIRST = Location("web", "http://h/1", {"a": "b"})
SECOND = Location("web", "http://h/2", {})
SAID = Digests("sha256", "a" * 64)


def shown(images: Images, image: Image) -> Image:
    found = images.show(image.id, ADMIN)
    assert found is not None
    return found


def moved(
    locations: Locations,
    image: Image,
    *places: Location,
    claimant: Claimant | None = None,
    allowance: Allowance = UNLIMITED,
    **more: Any,  # what else the patch changes
) -> Moved:
    after = image._replace(locations=places, **more)
    return locations.relocate(Move(image, after, allowance, claimant), LATER)


def active(images: Images, locations: Locations, *places: Location) -> Image:
    image = images.insert(an_image())
    return moved(locations, image, *places, status="active", size=60).image


def test_a_patch_writes_everything_at_once_and_charges_for_it(
    images: Images, locations: Locations, usage: Usage
) -> None:
    image = images.insert(an_image())

    done = moved(
        locations, image, FIRST, SECOND,
        name="new", status="active", size=60, **SAID._asdict(),
    )  # fmt: skip

    assert done.image == shown(images, image)
    assert done.image.locations == (FIRST, SECOND)
    assert (done.image.name, done.image.os_hash_value) == ("new", SAID.os_hash_value)
    assert not done.is_ours
    assert usage.of("owner") == Used(images=1, bytes=120)


def test_locations_keep_the_order_they_are_given(
    images: Images, locations: Locations
) -> None:
    image = active(images, locations, FIRST)

    moved(locations, image, SECOND, FIRST._replace(metadata={"new": "note"}))

    after = shown(images, image)
    assert [at.url for at in after.locations] == [SECOND.url, FIRST.url]
    assert after.locations[1].metadata == {"new": "note"}


def test_without_room_nothing_is_written(
    images: Images, locations: Locations, leases: Leases, usage: Usage
) -> None:
    image = active(images, locations, FIRST)
    tight = UNLIMITED._replace(bytes=119)

    with pytest.raises(errors.ProjectLimit):
        moved(locations, image, FIRST, SECOND, claimant=LOOKING, allowance=tight)

    assert shown(images, image) == image
    assert leases.watch() == []
    assert usage.of("owner") == Used(images=1, bytes=60)


def test_a_patch_of_an_image_that_was_changed_meanwhile_is_not_done(
    images: Images, locations: Locations
) -> None:
    image = active(images, locations, FIRST)
    images.add_tag(image.id, "new", -1, LATER)

    with pytest.raises(errors.ImageChanged):
        moved(locations, image, FIRST, SECOND)

    assert shown(images, image).locations == (FIRST,)


def test_who_is_given_an_image_pays_for_its_copies(
    images: Images, locations: Locations, usage: Usage
) -> None:
    image = active(images, locations, FIRST)

    moved(locations, image, FIRST, SECOND, owner="other")

    assert usage.of("owner") == Used()
    assert usage.of("other") == Used(images=1, bytes=120)


def test_what_is_removed_is_hidden_and_charged_until_its_bytes_are_gone(
    images: Images, locations: Locations, copies: Copies, usage: Usage
) -> None:
    image = active(images, locations, FIRST, SECOND)

    done = moved(locations, image, SECOND, claimant=REMOVING)

    assert (done.removed, done.is_ours) == ((FIRST,), True)
    assert shown(images, image).locations == (SECOND,)
    assert usage.of("owner").bytes == 120
    copies.bury("r", image.id)
    assert usage.of("owner").bytes == 60


def test_of_one_name_in_two_stores_one_is_removed(
    images: Images, locations: Locations, copies: Copies, usage: Usage
) -> None:
    twin = FIRST._replace(store="cold")
    image = active(images, locations, FIRST, twin)

    done = moved(locations, image, FIRST, claimant=REMOVING)

    assert done.removed == (twin,)
    assert images.remains(image.id).locations == (twin,)
    assert shown(images, image).locations == (FIRST,)
    copies.bury("r", image.id)
    assert usage.of("owner").bytes == 60


def test_who_looks_already_looks_at_what_is_added(
    images: Images, locations: Locations, leases: Leases
) -> None:
    image = active(images, locations, FIRST)
    first = moved(locations, image, FIRST, claimant=LOOKING)

    second = moved(locations, first.image, FIRST, SECOND, claimant=REMOVING)

    assert (first.is_ours, second.is_ours) == (True, False)
    assert [row.token for row in leases.watch()] == ["t"]


def test_nothing_is_added_while_a_copy_is_made(
    images: Images, locations: Locations, copies: Copies
) -> None:
    image = active(images, locations, FIRST)
    copies.claim(image.id, "c", "worker", "cold", Room("owner", 60, UNLIMITED))

    with pytest.raises(errors.ImageLeased):
        moved(locations, image, FIRST, SECOND, claimant=LOOKING)

    assert shown(images, image).locations == (FIRST,)
