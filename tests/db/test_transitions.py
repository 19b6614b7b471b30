import functools

import pytest

from imageservice import errors
from imageservice.db.images import Images, Remains
from imageservice.db.leases import Leases
from imageservice.domain.image import Image, Location
from imageservice.domain.query import Query
from tests.db.factories import ADMIN, LATER, NOW, OWNER, Bytes, an_image, at_once


def claimed(images: Images, token: str = "token", **values: object) -> Image:
    """An image that is being uploaded."""
    image = images.insert(an_image(**values))
    images.claim(image.id, "queued", "saving", token, "worker", "fast", NOW)
    return image


def uploaded(images: Images, **values: object) -> Image:
    """An active image."""
    image = claimed(images, "upload", **values)
    return images.attach("upload", image.id, Bytes(), "fast", NOW)


def shown(images: Images, image_id: str) -> Image:
    image = images.show(image_id, ADMIN)
    assert image is not None
    return image


def test_an_upload_makes_the_image_active(images: Images, leases: Leases) -> None:
    image = claimed(images)
    assert shown(images, image.id).status == "saving"

    stored = Bytes(metadata={"pieces": [1, "é😀"]})
    active = images.attach("token", image.id, stored, "fast", LATER)

    assert active == shown(images, image.id)
    assert active.status == "active"
    assert active.size == stored.size
    assert active.virtual_size == stored.virtual_size
    assert active.os_hash_value == stored.os_hash_value
    assert active.updated_at == LATER
    assert active.locations == (Location("fast", stored.url, stored.metadata),)
    assert images.remains(image.id) == Remains(False, ())
    assert leases.watch() == []


def test_of_racing_claims_exactly_one_wins(images: Images, leases: Leases) -> None:
    image = images.insert(an_image())

    results = at_once(
        *(
            functools.partial(
                images.claim, image.id, "queued", "saving", f"t{n}", "w", "s", NOW
            )
            for n in range(6)
        )
    )

    assert results.count(None) == 1
    assert sum(isinstance(result, errors.ImageBusy) for result in results) == 5
    assert [lease.token for lease in leases.watch()] == [f"t{results.index(None)}"]


def test_a_claim_of_what_is_not_there_says_so(images: Images) -> None:
    with pytest.raises(errors.ImageNotFound):
        images.claim("no-such", "queued", "saving", "t", "w", "s", NOW)


def test_a_lease_that_was_taken_over_attaches_nothing(
    images: Images, leases: Leases
) -> None:
    image = claimed(images)
    assert leases.take_over(image.id, "token", 0, "new", "other") is True

    with pytest.raises(errors.LeaseLost):
        images.attach("token", image.id, Bytes(), "fast", LATER)
    assert images.release("token", image.id, LATER) is False
    assert shown(images, image.id).status == "saving"

    assert images.release("new", image.id, LATER) is True
    assert shown(images, image.id).status == "queued"
    with pytest.raises(errors.LeaseLost):
        images.attach("token", image.id, Bytes(), "fast", LATER)


def test_attaching_to_an_image_that_is_gone_says_so(images: Images) -> None:
    image = claimed(images)
    assert images.doom(image.id, "d", "w", LATER) is None
    with pytest.raises(errors.ImageGone):
        images.attach("token", image.id, Bytes(), "fast", LATER)

    assert images.release("token", image.id, LATER) is True

    with pytest.raises(errors.ImageGone):
        images.attach("token", image.id, Bytes(), "fast", LATER)
    with pytest.raises(errors.ImageIdTaken):
        images.insert(an_image(id=image.id))


def test_a_released_image_is_queued_and_can_be_uploaded_again(images: Images) -> None:
    image = claimed(images)

    assert images.release("token", image.id, LATER) is True

    queued = shown(images, image.id)
    assert queued == image._replace(version=3, updated_at=LATER)
    images.claim(image.id, "queued", "saving", "again", "worker", "fast", LATER)
    assert images.attach("again", image.id, Bytes(), "fast", LATER).status == "active"


def test_an_image_with_bytes_is_hidden_before_they_go(
    images: Images, leases: Leases
) -> None:
    image = uploaded(images)

    doomed = images.doom(image.id, "d", "worker", LATER)

    assert doomed == image
    assert images.show(image.id, ADMIN) is None
    assert images.list(Query(limit=5, viewer=OWNER)).images == []
    assert images.remains(image.id) == Remains(True, image.locations)
    assert [(row.token, row.status) for row in leases.watch()] == [
        ("d", "pending_delete")
    ]
    with pytest.raises(errors.ImageNotFound):
        images.doom(image.id, "e", "worker", LATER)

    assert images.release("d", image.id, LATER) is False
    assert images.bury("wrong", image.id, LATER) is False
    assert images.bury("d", image.id, LATER) is True
    assert images.bury("d", image.id, LATER) is False
    assert leases.watch() == []
    with pytest.raises(errors.ImageIdTaken):
        images.insert(an_image(id=image.id))


@pytest.mark.parametrize("status", ["active", "deactivated"])
def test_a_spared_image_is_what_it_was(images: Images, status: str) -> None:
    image = uploaded(images)
    if status == "deactivated":
        images.set_status(image.id, "active", "deactivated", NOW)
    images.doom(image.id, "d", "worker", NOW)

    assert images.spare("wrong", image.id, LATER) is False
    assert images.spare("d", image.id, LATER) is True

    assert shown(images, image.id).status == status
    assert shown(images, image.id).locations == image.locations


def test_a_protected_image_is_not_touched(images: Images, leases: Leases) -> None:
    image = uploaded(images, protected=True)

    with pytest.raises(errors.ImageProtected):
        images.doom(image.id, "d", "worker", LATER)

    assert shown(images, image.id) == image
    assert leases.watch() == []


def test_of_racing_deletions_exactly_one_gets_the_bytes(images: Images) -> None:
    image = uploaded(images)

    results = at_once(
        *(
            functools.partial(images.doom, image.id, f"t{number}", "w", LATER)
            for number in range(5)
        )
    )

    assert sum(isinstance(result, Image) for result in results) == 1
    assert sum(isinstance(result, errors.ImageNotFound) for result in results) == 4


def test_an_upload_and_a_deletion_race_to_one_end(images: Images) -> None:
    for number in range(10):
        image = claimed(images, f"t{number}")

        attached, doomed = at_once(
            functools.partial(images.attach, f"t{number}", image.id, Bytes(), "s", NOW),
            functools.partial(images.doom, image.id, f"d{number}", "w", NOW),
        )

        if isinstance(doomed, Image):
            assert isinstance(attached, Image)
            assert doomed.locations == attached.locations
            assert images.bury(f"d{number}", image.id, NOW) is True
        else:
            assert doomed is None
            assert isinstance(attached, errors.ImageGone)
            assert images.release(f"t{number}", image.id, NOW) is True
        with pytest.raises(errors.ImageIdTaken):
            images.insert(an_image(id=image.id))
