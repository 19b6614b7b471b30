"""Copies of finished images: one more, one less, and what comes in between."""

import functools

import pytest

from imageservice import errors
from imageservice.db.copies import Copies
from imageservice.db.images import Images, Remains
from imageservice.db.leases import Leases
from imageservice.db.locations import Claimant, Locations, Move
from imageservice.db.registrations import Registrations
from imageservice.db.transitions import Room
from imageservice.db.usage import Usage, Used
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.image import Image, Location
from imageservice.domain.lease import REMOVE, VERIFY
from tests.db.factories import ADMIN, LATER, NOW, Bytes, an_image, at_once

ROOM = Room("owner", 60, UNLIMITED)
SECOND = Location("cold", "s3://bucket/1", {"a": 1})


def uploaded(images: Images) -> Image:
    image = images.insert(an_image())
    images.claim(image.id, "queued", "saving", "u", "worker", "fast", NOW)
    return images.attach("u", image.id, Bytes(size=60), "fast", NOW)


def copied(images: Images, copies: Copies) -> Image:
    """An image with copies in the stores fast and cold."""
    image = uploaded(images)
    copies.claim(image.id, "c", "worker", "cold", ROOM)
    copies.attach("c", image.id, SECOND, LATER)
    return shown(images, image)


def shown(images: Images, image: Image) -> Image:
    found = images.show(image.id, ADMIN)
    assert found is not None
    return found


def test_a_copy_is_charged_and_shown_once_it_is_there(
    images: Images, copies: Copies, leases: Leases, usage: Usage
) -> None:
    image = uploaded(images)

    copies.claim(image.id, "c", "worker", "cold", ROOM)
    assert usage.of("owner") == Used(images=1, uploading=1, bytes=60, reserved=60)
    assert shown(images, image) == image
    copies.attach("c", image.id, SECOND, LATER)

    after = shown(images, image)
    assert after.locations == (*image.locations, SECOND)
    assert (after.version, after.updated_at) == (image.version + 1, LATER)
    assert usage.of("owner") == Used(images=1, bytes=120)
    assert leases.watch() == []


def test_there_is_no_room_for_a_copy_beyond_the_limit(
    images: Images, copies: Copies, leases: Leases
) -> None:
    image = uploaded(images)
    room = ROOM._replace(allowance=UNLIMITED._replace(bytes=119))

    with pytest.raises(errors.ProjectLimit):
        copies.claim(image.id, "c", "worker", "cold", room)

    assert leases.watch() == []


def test_a_store_holds_one_copy(images: Images, copies: Copies) -> None:
    image = copied(images, copies)

    with pytest.raises(errors.CopyExists):
        copies.claim(image.id, "again", "worker", "cold", ROOM)


def test_only_finished_images_are_copied(images: Images, copies: Copies) -> None:
    image = images.insert(an_image())
    with pytest.raises(errors.ImageUnfinished):
        copies.claim(image.id, "c", "worker", "cold", ROOM)
    with pytest.raises(errors.ImageNotFound):
        copies.claim("no-such", "c", "worker", "cold", ROOM)


def test_of_many_who_copy_and_remove_at_once_one_may(
    images: Images, copies: Copies
) -> None:
    image = copied(images, copies)
    calls = [
        functools.partial(copies.claim, image.id, f"c{n}", "worker", f"s{n}", ROOM)
        for n in range(3)
    ] + [
        functools.partial(copies.doom, image.id, SECOND, f"d{n}", "worker", NOW)
        for n in range(3)
    ]

    results = at_once(*calls)

    refusals = [result for result in results if isinstance(result, Exception)]
    assert len(results) - len(refusals) == 1
    kinds = (errors.ImageLeased, errors.CopyNotFound, errors.LastCopy)
    assert all(isinstance(refusal, kinds) for refusal in refusals), refusals


def test_a_copy_is_hidden_before_its_bytes_go(
    images: Images, copies: Copies, usage: Usage
) -> None:
    image = copied(images, copies)

    copies.doom(image.id, SECOND, "d", "worker", LATER)

    assert shown(images, image).locations == image.locations[:1]
    assert images.remains(image.id) == Remains(False, (SECOND,))
    assert usage.of("owner").bytes == 120
    assert copies.bury("d", image.id) is True
    assert images.remains(image.id) == Remains(False, ())
    assert usage.of("owner") == Used(images=1, bytes=60)
    copies.claim(image.id, "again", "worker", "cold", ROOM)


def test_a_copy_is_hidden_while_the_image_is_looked_at(
    images: Images,
    copies: Copies,
    locations: Locations,
    registrations: Registrations,
    leases: Leases,
) -> None:
    image = copied(images, copies)
    looking = Claimant("t", "worker", VERIFY)
    locations.relocate(Move(image, image, UNLIMITED, looking), NOW)

    is_ours = copies.doom(image.id, SECOND, "d", "worker", LATER)

    (left,) = shown(images, image).locations
    assert (left.store, is_ours) == ("fast", False)
    assert [row.token for row in leases.watch()] == ["t"]
    assert registrations.finish("t", image.id, {left.spot}) == REMOVE


def test_a_copy_that_its_store_keeps_is_shown_again(
    images: Images, copies: Copies, usage: Usage, leases: Leases
) -> None:
    image = copied(images, copies)
    copies.doom(image.id, SECOND, "d", "worker", LATER)

    assert copies.spare("d", image.id, LATER) is True

    assert shown(images, image).locations == image.locations
    assert usage.of("owner").bytes == 120
    assert leases.watch() == []


def test_the_last_copy_stays(images: Images, copies: Copies) -> None:
    image = uploaded(images)
    with pytest.raises(errors.LastCopy):
        copies.doom(image.id, image.locations[0], "d", "worker", NOW)


def test_a_copy_that_is_written_again_keeps_its_row_and_its_place(
    images: Images, copies: Copies, leases: Leases, usage: Usage
) -> None:
    image = copied(images, copies)
    first, new = image.locations[0], Location("fast", "file:///again", {"b": 2})

    copies.claim_anew(image.id, first, "r", "worker")
    assert shown(images, image) == image
    (lease,) = leases.watch()
    assert (lease.store, lease.purpose) == ("fast", "rewrite")
    copies.attach("r", image.id, new, LATER, instead=first)

    after = shown(images, image)
    assert after.locations == (new, SECOND)
    assert after.version == image.version + 1
    assert usage.of("owner") == Used(images=1, bytes=120)
    assert leases.watch() == []


def test_a_copy_that_goes_while_it_is_written_again_is_a_new_one(
    images: Images, copies: Copies, usage: Usage
) -> None:
    image = copied(images, copies)
    copies.claim_anew(image.id, image.locations[0], "r", "worker")

    gone = Location("fast", "file:///other", {})
    copies.attach("r", image.id, image.locations[0], LATER, instead=gone)

    assert len(shown(images, image).locations) == 3
    assert usage.of("owner").bytes == 180


def test_the_only_copy_is_not_written_again(images: Images, copies: Copies) -> None:
    image = uploaded(images)
    with pytest.raises(errors.LastCopy):
        copies.claim_anew(image.id, image.locations[0], "r", "worker")
    again = copied(images, copies)
    with pytest.raises(errors.CopyNotFound):
        copies.claim_anew(again.id, Location("third", "x", {}), "r", "worker")


def test_a_copy_that_is_not_there_is_not_removed(
    images: Images, copies: Copies
) -> None:
    image = copied(images, copies)
    with pytest.raises(errors.CopyNotFound):
        copies.doom(image.id, Location("third", "x", {}), "d", "worker", NOW)


def test_an_image_that_is_deleted_meanwhile_keeps_its_lease_for_housekeeping(
    images: Images, copies: Copies, leases: Leases, usage: Usage
) -> None:
    image = copied(images, copies)
    copies.doom(image.id, SECOND, "d", "worker", LATER)
    assert images.doom(image.id, "delete", "other", LATER) is None

    assert copies.bury("d", image.id) is False
    assert copies.spare("d", image.id, LATER) is False
    assert images.release("d", image.id, LATER) is False

    (lease,) = leases.watch()
    assert (lease.token, lease.purpose) == ("d", "remove")
    assert images.remains(image.id) == Remains(True, image.locations)
    assert images.release("d", image.id, LATER, emptied=True) is True
    assert usage.of("owner") == Used()


def test_a_copy_of_an_image_that_is_gone_is_not_attached(
    images: Images, copies: Copies
) -> None:
    image = uploaded(images)
    copies.claim(image.id, "c", "worker", "cold", ROOM)
    images.doom(image.id, "delete", "other", LATER)

    with pytest.raises(errors.ImageGone):
        copies.attach("c", image.id, SECOND, LATER)
    assert images.release("c", image.id, LATER) is False


def test_a_lease_that_was_taken_over_attaches_no_copy(
    images: Images, copies: Copies, leases: Leases
) -> None:
    image = uploaded(images)
    copies.claim(image.id, "c", "worker", "cold", ROOM)
    assert leases.take_over(image.id, "c", 0, "new", "other")

    with pytest.raises(errors.LeaseLost):
        copies.attach("c", image.id, SECOND, LATER)
