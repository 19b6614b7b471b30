"""Registered bytes are looked at: what is found, and who may say so."""

import pytest

from imageservice import errors
from imageservice.db.images import Images
from imageservice.db.leases import Leases
from imageservice.db.locations import Locations
from imageservice.db.registrations import Measured, Registrations
from imageservice.db.usage import Usage, Used
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.image import Image, Location
from imageservice.domain.lease import REMOVE, VERIFY
from imageservice.domain.proposals import Digests, Proposal
from tests.db.factories import LATER, NOW
from tests.db.test_locations import (
    FIRST,
    LOOKING,
    REMOVING,
    SAID,
    SECOND,
    active,
    an_image,
    moved,
    shown,
)

FOUND = Digests("sha256", "a" * 64, "b" * 32)
THIRD = Location("web", "http://h/3", {})


def claimed(
    images: Images, registrations: Registrations, digests: Digests | None = SAID
) -> Image:
    image = images.insert(an_image())
    proposal = Proposal(FIRST.url, FIRST.metadata, digests, FIRST.store)
    registrations.claim(image.id, proposal, LOOKING, NOW)
    return shown(images, image)


def test_a_registered_image_waits_and_becomes_active(
    images: Images, registrations: Registrations, leases: Leases, usage: Usage
) -> None:
    image = claimed(images, registrations)
    assert (image.status, image.size, image.locations) == ("importing", None, (FIRST,))
    assert image.os_hash_value == SAID.os_hash_value

    registrations.activate("t", image.id, Measured(60, FOUND), UNLIMITED, LATER)
    assert registrations.finish("t", image.id, {FIRST.spot}) is None

    after = shown(images, image)
    assert (after.status, after.size, after.checksum) == ("active", 60, FOUND.checksum)
    assert leases.watch() == []
    assert usage.of("owner") == Used(images=1, bytes=60)


def test_it_is_queued_again_if_there_is_no_room(
    images: Images, registrations: Registrations, usage: Usage
) -> None:
    image = claimed(images, registrations)
    tight = UNLIMITED._replace(bytes=59)

    with pytest.raises(errors.ProjectLimit):
        registrations.activate("t", image.id, Measured(60, FOUND), tight, LATER)
    assert images.release("t", image.id, LATER)

    after = shown(images, image)
    assert (after.status, after.os_hash_value, after.locations) == ("queued", None, ())
    assert usage.of("owner") == Used(images=1)


def test_an_image_is_registered_once(
    images: Images, registrations: Registrations
) -> None:
    image = claimed(images, registrations)
    proposal = Proposal(SECOND.url, {}, None, "web")

    with pytest.raises(errors.ImageBusy):
        registrations.claim(image.id, proposal, LOOKING._replace(token="x"), LATER)

    assert shown(images, image).locations == (FIRST,)


def test_a_location_is_noted_in_other_words(
    images: Images, registrations: Registrations
) -> None:
    image = claimed(images, registrations)

    registrations.respell("t", image.id, FIRST.url, "http://elsewhere/1")

    (noted,) = shown(images, image).locations
    assert noted == FIRST._replace(url="http://elsewhere/1")


def test_digests_that_are_known_are_not_written_over(
    images: Images, registrations: Registrations
) -> None:
    image = claimed(images, registrations, digests=None)
    registrations.activate("t", image.id, Measured(60, None), UNLIMITED, LATER)

    registrations.describe("t", image.id, FIRST, FOUND, LATER)
    other = FOUND._replace(os_hash_value="c" * 64)
    registrations.describe("t", image.id, FIRST, other, LATER)

    assert shown(images, image).os_hash_value == FOUND.os_hash_value


def test_a_location_with_other_bytes_goes_and_the_last_one_stops_the_image(
    images: Images, locations: Locations, registrations: Registrations, usage: Usage
) -> None:
    image = active(images, locations, FIRST, SECOND)
    moved(locations, image, FIRST, SECOND, claimant=LOOKING)

    registrations.refute("t", image.id, FIRST, LATER)
    one_left = shown(images, image)
    registrations.refute("t", image.id, SECOND, LATER)

    assert (one_left.status, one_left.locations) == ("active", (SECOND,))
    assert shown(images, image).status == "deactivated"
    assert shown(images, image).locations == (SECOND,)
    assert usage.of("owner").bytes == 60


def test_what_is_false_is_not_kept_if_the_image_was_deactivated_meanwhile(
    images: Images, locations: Locations, registrations: Registrations
) -> None:
    image = images.insert(an_image())
    said = SAID._asdict()
    moved(locations, image, FIRST, claimant=LOOKING, status="active", size=60, **said)
    images.set_status(image.id, "active", "deactivated", NOW)

    registrations.refute("t", image.id, FIRST, LATER)

    after = shown(images, image)
    assert after.status == "deactivated"
    assert (after.os_hash_algo, after.os_hash_value) == (None, None)


def test_what_is_said_of_a_location_that_was_removed_changes_nothing(
    images: Images, locations: Locations, registrations: Registrations, usage: Usage
) -> None:
    image = active(images, locations, FIRST, SECOND, THIRD)
    image = moved(locations, image, FIRST, SECOND, THIRD, claimant=LOOKING).image
    left = moved(locations, image, SECOND, THIRD, claimant=REMOVING).image

    registrations.describe("t", image.id, FIRST, FOUND, LATER)
    registrations.refute("t", image.id, FIRST, LATER)

    assert shown(images, image) == left
    assert usage.of("owner").bytes == 180  # until its bytes are gone


def test_a_location_that_was_removed_stops_no_image(
    images: Images, locations: Locations, registrations: Registrations
) -> None:
    image = active(images, locations, FIRST, SECOND)
    image = moved(locations, image, FIRST, SECOND, claimant=LOOKING).image
    left = moved(locations, image, FIRST, claimant=REMOVING).image

    registrations.refute("t", image.id, SECOND, LATER)

    assert shown(images, image) == left


def test_of_one_name_in_two_stores_one_is_looked_at(
    images: Images, locations: Locations, registrations: Registrations, usage: Usage
) -> None:
    twin = FIRST._replace(store="cold")
    image = active(images, locations, FIRST, twin)
    moved(locations, image, FIRST, twin, claimant=LOOKING)

    left = registrations.finish("t", image.id, {FIRST.spot})
    registrations.refute("t", image.id, twin, LATER)

    assert left == VERIFY
    assert shown(images, image).locations == (FIRST,)
    assert usage.of("owner").bytes == 60


def test_a_look_ends_when_all_was_seen(
    images: Images, locations: Locations, registrations: Registrations, leases: Leases
) -> None:
    image = active(images, locations, FIRST, SECOND)
    image = moved(locations, image, FIRST, SECOND, claimant=LOOKING).image

    assert registrations.finish("t", image.id, {FIRST.spot}) == VERIFY
    moved(locations, image, FIRST, claimant=REMOVING)
    assert registrations.finish("t", image.id, {FIRST.spot}) == REMOVE

    assert [(row.token, row.purpose) for row in leases.watch()] == [("t", REMOVE)]


@pytest.mark.parametrize("end", ["lost", "doomed"])
def test_who_may_not_look_any_more_changes_nothing(
    images: Images, registrations: Registrations, end: str
) -> None:
    image = claimed(images, registrations)
    token = "t"
    expected: type[errors.Error] = errors.ImageGone
    if end == "lost":
        token, expected = "another", errors.LeaseLost
    else:
        images.doom(image.id, "d", "worker", LATER)

    with pytest.raises(expected):
        registrations.activate(token, image.id, Measured(60, FOUND), UNLIMITED, LATER)
    with pytest.raises(expected):
        registrations.describe(token, image.id, FIRST, FOUND, LATER)
    with pytest.raises(expected):
        registrations.respell(token, image.id, FIRST.url, SECOND.url)
    with pytest.raises(expected):
        registrations.refute(token, image.id, FIRST, LATER)
    with pytest.raises(expected):
        registrations.finish(token, image.id, ())
