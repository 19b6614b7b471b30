"""What projects use, and that they never use more than they may."""

import functools
import threading

import pytest
from sqlalchemy import Connection, delete, update

from imageservice import errors
from imageservice.db import transitions
from imageservice.db.engine import Database
from imageservice.db.images import Images
from imageservice.db.tables import leases as lease_table
from imageservice.db.tables import project_usage
from imageservice.db.usage import Usage, Used
from imageservice.domain.allowance import NOTHING, UNLIMITED, Allowance
from imageservice.domain.image import Image
from tests.db.factories import ADMIN, LATER, NOW, Bytes, an_image, at_once

HUNDRED = UNLIMITED._replace(bytes=100)


def claim(
    images: Images,
    image: Image,
    size: int,
    allowance: Allowance = UNLIMITED,
    token: str = "",
) -> str:
    """Begin an upload of an image and return the lease's token."""
    token = token or f"t-{image.id}"
    room = transitions.Room(image.owner, size, allowance)
    known = {"owner": image.owner}
    images.claim(image.id, "queued", "saving", token, "w", "s", NOW, known, room)
    return token


def upload(images: Images, image: Image, size: int) -> Image:
    token = claim(images, image, size)
    return images.attach(token, image.id, Bytes(size=size), "s", NOW)


def test_an_upload_turns_what_it_reserved_into_what_is_stored(
    images: Images, usage: Usage
) -> None:
    image = images.insert(an_image())
    assert usage.of("owner") == Used(images=1)

    token = claim(images, image, 70)
    assert usage.of("owner") == Used(images=1, uploading=1, reserved=70)

    images.attach(token, image.id, Bytes(size=60), "s", NOW)
    assert usage.of("owner") == Used(images=1, bytes=60)


def test_an_upload_that_failed_gives_everything_back(
    images: Images, usage: Usage
) -> None:
    image = images.insert(an_image())
    token = claim(images, image, 70)

    assert images.release(token, image.id, NOW)
    assert not images.release(token, image.id, NOW)

    assert usage.of("owner") == Used(images=1)


def test_there_is_room_up_to_the_last_byte(images: Images, usage: Usage) -> None:
    upload(images, images.insert(an_image()), 40)
    first, second = (images.insert(an_image()) for _ in range(2))
    claim(images, first, 50, HUNDRED)

    with pytest.raises(errors.ProjectLimit) as caught:
        claim(images, second, 11, HUNDRED)
    assert caught.value.values["used"] == 90
    assert images.show(second.id, ADMIN) == second
    claim(images, second, 10, HUNDRED)
    assert usage.of("owner") == Used(3, 2, 40, 60)


def test_without_an_allowance_there_is_room_for_nothing(images: Images) -> None:
    with pytest.raises(errors.ProjectLimit, match="image_count_total"):
        images.insert(an_image(), NOTHING)
    image = images.insert(an_image())
    with pytest.raises(errors.ProjectLimit, match="image_count_uploading"):
        claim(images, image, 0, NOTHING)


def test_too_many_uploads_are_told_before_too_many_bytes(images: Images) -> None:
    image = images.insert(an_image())
    with pytest.raises(errors.ProjectLimit, match="image_count_uploading"):
        claim(images, image, 101, HUNDRED._replace(uploading=0))
    with pytest.raises(errors.ProjectLimit, match="user_storage_quota"):
        claim(images, image, 101, HUNDRED._replace(named="user_storage_quota"))


def test_a_project_over_its_limit_can_do_what_needs_no_more_of_it(
    images: Images,
) -> None:
    upload(images, images.insert(an_image()), 500)

    another = images.insert(an_image(), HUNDRED)
    claim(images, another, 0, HUNDRED)


def test_numbers_too_large_for_a_column_are_refused(images: Images) -> None:
    first, second = (images.insert(an_image()) for _ in range(2))
    token = claim(images, first, 2**62 + 1)
    with pytest.raises(errors.ProjectLimit):
        claim(images, second, 2**62)
    images.release(token, first.id, NOW)


def test_images_without_an_owner_are_charged_to_nobody(
    images: Images, usage: Usage
) -> None:
    image = images.insert(an_image(owner=None), NOTHING)
    token = claim(images, image, 70, NOTHING)
    assert images.grow(token, image.id, 1, 9, NOTHING) == 9
    images.attach(token, image.id, Bytes(size=60), "s", NOW)

    assert usage.all() == {}


def test_a_reservation_grows_by_what_is_left(images: Images, usage: Usage) -> None:
    image = images.insert(an_image())
    token = claim(images, image, 0, HUNDRED)

    assert images.grow(token, image.id, 1, 80, HUNDRED) == 80
    assert images.grow(token, image.id, 5, 80, HUNDRED) == 20
    with pytest.raises(errors.ProjectLimit):
        images.grow(token, image.id, 1, 80, HUNDRED)
    assert usage.of("owner").reserved == 100
    with pytest.raises(errors.LeaseLost):
        images.grow("other", image.id, 1, 80, HUNDRED)
    images.release(token, image.id, NOW)
    assert usage.of("owner") == Used(images=1)


def test_bytes_count_until_they_are_gone_and_the_image_no_longer(
    images: Images, usage: Usage
) -> None:
    image = upload(images, images.insert(an_image()), 60)

    images.doom(image.id, "d", "w", LATER)
    assert usage.of("owner") == Used(bytes=60)
    images.spare("d", image.id, LATER)
    assert usage.of("owner") == Used(images=1, bytes=60)
    images.doom(image.id, "d", "w", LATER)
    images.bury("d", image.id, LATER)
    assert usage.of("owner") == Used()


def test_an_upload_of_a_deleted_image_is_charged_until_it_has_ended(
    images: Images, usage: Usage
) -> None:
    image = images.insert(an_image())
    token = claim(images, image, 60)

    assert images.doom(image.id, "d", "w", LATER) is None
    assert usage.of("owner") == Used(uploading=1, reserved=60)
    with pytest.raises(errors.ImageGone):
        images.attach(token, image.id, Bytes(size=60), "s", LATER)
    assert usage.of("owner") == Used(uploading=1, reserved=60)
    images.release(token, image.id, LATER)
    assert usage.of("owner") == Used()


def test_an_image_without_bytes_is_gone_at_once(images: Images, usage: Usage) -> None:
    image = images.insert(an_image())

    assert images.doom(image.id, "d", "w", LATER) is None

    assert usage.of("owner") == Used()


def test_who_is_given_an_image_is_charged_for_it(images: Images, usage: Usage) -> None:
    image = upload(images, images.insert(an_image()), 60)

    images.update(image, image._replace(owner="another"), LATER)

    assert usage.of("owner") == Used()
    assert usage.of("another") == Used(images=1, bytes=60)


def test_an_image_given_away_in_an_upload_takes_its_bytes_along(
    images: Images, usage: Usage
) -> None:
    image = images.insert(an_image())
    token = claim(images, image, 60)
    saving = images.show(image.id, ADMIN)
    assert saving is not None
    images.update(saving, saving._replace(owner="another"), LATER)
    assert usage.of("owner") == Used(uploading=1, reserved=60)
    assert usage.of("another") == Used(images=1)

    images.attach(token, image.id, Bytes(size=60), "s", LATER)

    assert usage.of("owner") == Used()
    assert usage.of("another") == Used(images=1, bytes=60)


def test_of_a_hundred_images_at_once_twenty_are_created(
    images: Images, usage: Usage
) -> None:
    allowance = UNLIMITED._replace(images=20)

    # A project that nobody has heard of: all of them want to write its row.
    results = at_once(
        *(functools.partial(images.insert, an_image(), allowance) for _ in range(100))
    )

    assert sum(isinstance(result, Image) for result in results) == 20
    assert sum(isinstance(result, errors.ProjectLimit) for result in results) == 80
    assert usage.of("owner") == Used(images=20)


def test_of_ten_uploads_at_once_three_are_let_in(images: Images, usage: Usage) -> None:
    queued = [images.insert(an_image()) for _ in range(10)]

    results = at_once(
        *(functools.partial(claim, images, image, 30, HUNDRED) for image in queued)
    )

    assert sum(isinstance(result, errors.ProjectLimit) for result in results) == 7
    assert usage.of("owner") == Used(images=10, uploading=3, reserved=90)


def test_images_swapped_by_many_between_two_projects_lock_nobody_out(
    images: Images, usage: Usage
) -> None:
    ours = [images.insert(an_image(owner="a")) for _ in range(8)]
    theirs = [images.insert(an_image(owner="b")) for _ in range(8)]

    def swap(image: Image) -> None:
        for _ in range(5):
            other = "b" if image.owner == "a" else "a"
            image = images.update(image, image._replace(owner=other), LATER)

    results = at_once(*(functools.partial(swap, image) for image in [*ours, *theirs]))

    assert results == [None] * 16
    assert usage.all() == {"a": Used(images=8), "b": Used(images=8)}


def test_wrong_counters_are_counted_again(
    images: Images, usage: Usage, database: Database
) -> None:
    image = upload(images, images.insert(an_image()), 60)
    claim(images, images.insert(an_image()), 7)
    images.doom(image.id, "d", "w", LATER)
    right = Used(images=1, uploading=1, bytes=60, reserved=7)
    wrong = Used(images=9, uploading=3, bytes=0, reserved=-1)
    values = update(project_usage).values(wrong._asdict())
    database.write(lambda connection: connection.execute(values) and None)

    assert usage.projects() == ["owner"]
    assert usage.recount("owner") == (wrong, right)
    assert usage.of("owner") == right

    row = delete(project_usage)
    database.write(lambda connection: connection.execute(row) and None)
    assert usage.recount("owner") == (Used(), right)


def test_counting_again_is_exact_while_others_create_and_delete(
    images: Images, usage: Usage
) -> None:
    over = threading.Event()
    wrong = []

    def work() -> None:
        for _ in range(15):
            image = upload(images, images.insert(an_image()), 60)
            images.doom(image.id, f"d-{image.id}", "w", LATER)
            images.bury(f"d-{image.id}", image.id, LATER)
        images.insert(an_image())

    def count() -> None:
        while not over.is_set():
            before, after = usage.recount("owner")
            if before != after:
                wrong.append((before, after))

    counting = threading.Thread(target=count)
    counting.start()
    results = at_once(*[work] * 4)
    over.set()
    counting.join()

    assert results == [None] * 4
    assert wrong == []
    assert usage.of("owner") == Used(images=4)


def test_a_reservation_taken_over_is_given_back_by_who_took_it(
    images: Images, usage: Usage, database: Database
) -> None:
    image = images.insert(an_image())
    token = claim(images, image, 60)

    def take_over(connection: Connection) -> None:
        mine = update(lease_table).where(lease_table.c.token == token)
        connection.execute(mine.values(token="new"))

    database.write(take_over)
    with pytest.raises(errors.LeaseLost):
        images.grow(token, image.id, 1, 1, UNLIMITED)
    assert images.release("new", image.id, LATER)

    assert usage.of("owner") == Used(images=1)
