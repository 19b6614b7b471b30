import functools

import pytest

from imageservice import errors
from imageservice.db.images import Images
from imageservice.domain.image import Image
from imageservice.domain.query import Query
from tests.db.factories import (
    ADMIN,
    LATER,
    NOW,
    OTHER,
    OWNER,
    Bytes,
    an_image,
    at_once,
)

ODD_TEXTS = [
    pytest.param("😀 image", id="emoji"),
    pytest.param("trailing ", id="trailing-space"),
    pytest.param("Ä\u0301\u200bé", id="accents"),
    pytest.param('quote" back\\slash \x01\x1f\t\n\x7f', id="control"),
    pytest.param("%s %(id)s :id ? $1 {x}", id="placeholders"),
    pytest.param("", id="empty"),
]


def test_an_image_is_shown_as_it_was_inserted(images: Images) -> None:
    image = an_image(properties={"b": "2", "a": None}, tags=("t", "a"))

    inserted = images.insert(image)

    assert images.show(image.id, OWNER) == inserted
    assert inserted.version == 1
    assert list(inserted.properties) == ["a", "b"]
    assert inserted.tags == ("a", "t")
    assert inserted.created_at == NOW


def test_an_owner_is_255_characters_at_most(images: Images) -> None:
    longest = images.insert(an_image(owner="😀" * 255))

    with pytest.raises(errors.BadRequest, match="255 characters"):
        images.insert(an_image(owner="x" * 256))
    with pytest.raises(errors.BadRequest, match="255 characters"):
        images.update(longest, longest._replace(owner="x" * 256), LATER)
    assert images.show(longest.id, ADMIN) == longest


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_any_text_survives_as_name_property_and_tag(images: Images, text: str) -> None:
    image = images.insert(
        an_image(name=text, properties={text: text, "x": text * 9}, tags=(text,))
    )

    assert images.show(image.id, OWNER) == image
    found = images.list(
        Query(limit=5, viewer=OWNER, properties=((text, text),), tags=(text,))
    )
    assert found.images == [image]


def test_case_and_trailing_spaces_make_different_names(images: Images) -> None:
    names = {"a": "1", "A": "2", "a ": "3", "á": "4"}

    image = images.insert(an_image(properties=names, tags=tuple(names)))

    assert images.show(image.id, OWNER) == image
    for name, value in names.items():
        asked = Query(limit=5, viewer=OWNER, properties=((name, value),), tags=(name,))
        assert images.list(asked).images == [image]
    assert not images.list(
        Query(limit=5, viewer=OWNER, properties=(("A", "1"),))
    ).images


def test_a_long_property_value_is_kept_and_found(images: Images) -> None:
    long = "é" * 70 * 1024
    image = images.insert(an_image(properties={"long": long}))
    images.insert(an_image(properties={"long": long + "x"}))

    found = images.list(Query(limit=5, viewer=OWNER, properties=(("long", long),)))

    assert [item.id for item in found.images] == [image.id]
    assert found.images[0].properties["long"] == long


def test_many_long_properties_are_not_cut_off(images: Images) -> None:
    properties = {f"p{number:03}": "x" * 20_000 for number in range(128)}
    tags = tuple(f"{number:03}" + "t" * 250 for number in range(128))

    image = images.insert(an_image(properties=properties, tags=tags))

    assert images.show(image.id, OWNER) == image


@pytest.mark.parametrize("text", ["nul \0", "half \ud800"])
def test_text_that_no_database_can_hold_is_refused(images: Images, text: str) -> None:
    image = images.insert(an_image())

    for broken in (
        an_image(name=text),
        an_image(properties={text: ""}),
        an_image(tags=(text,)),
    ):
        with pytest.raises(errors.BadRequest):
            images.insert(broken)
    with pytest.raises(errors.BadRequest):
        images.update(image, image._replace(properties={"a": text}), LATER)
    with pytest.raises(errors.BadRequest):
        images.add_tag(image.id, text, -1, LATER)
    assert images.remove_tag(image.id, text, LATER) is False


@pytest.mark.parametrize("image_id", ["", "x" * 37, "é", "a\0", "\ud800", "😀" * 9])
def test_what_cannot_be_an_id_is_not_found(images: Images, image_id: str) -> None:
    assert images.show(image_id, ADMIN) is None


def test_an_id_is_never_used_again(images: Images) -> None:
    image = images.insert(an_image())
    with pytest.raises(errors.ImageIdTaken):
        images.insert(image)

    assert images.doom(image.id, "token", "worker", NOW) is None

    assert images.show(image.id, ADMIN) is None
    with pytest.raises(errors.ImageIdTaken):
        images.insert(image)
    assert images.show(image.id, ADMIN) is None


def test_an_update_changes_what_differs_and_nothing_else(images: Images) -> None:
    before = images.insert(
        an_image(properties={"kept": "1", "gone": "2", "new": "3"}, tags=("a", "b"))
    )
    after = before._replace(
        name=None,
        min_disk=7,
        os_hidden=True,
        properties={"kept": "1", "new": "4", "added": "😀"},
        tags=("b", "c"),
        status="active",
        size=5,
    )

    images.update(before, after, LATER)

    shown = images.show(before.id, OWNER)
    assert shown == after._replace(
        status="queued",
        size=None,
        version=2,
        updated_at=LATER,
        properties={"added": "😀", "kept": "1", "new": "4"},
    )


def test_properties_that_the_caller_could_not_see_survive(images: Images) -> None:
    """Weakness ✗27."""
    stored = images.insert(an_image(properties={"secret": "s", "open": "o"}))
    seen = stored._replace(properties={"open": "o"})

    images.update(seen, seen._replace(properties={"open": "p"}), LATER)

    shown = images.show(stored.id, OWNER)
    assert shown is not None
    assert shown.properties == {"open": "p", "secret": "s"}


def test_an_update_of_an_image_that_moved_on_is_refused(images: Images) -> None:
    before = images.insert(an_image(properties={"a": "1"}))
    images.update(before, before._replace(name="first"), LATER)

    with pytest.raises(errors.ImageChanged):
        images.update(before, before._replace(properties={"a": "2"}), LATER)

    shown = images.show(before.id, OWNER)
    assert shown is not None
    assert (shown.name, shown.properties, shown.version) == ("first", {"a": "1"}, 2)


def test_an_update_of_an_image_that_is_gone_says_so(images: Images) -> None:
    image = images.insert(an_image())
    images.doom(image.id, "token", "worker", NOW)

    with pytest.raises(errors.ImageNotFound):
        images.update(image, image._replace(name="x"), LATER)


def test_of_racing_updates_exactly_one_wins(images: Images) -> None:
    before = images.insert(an_image())
    changes = [before._replace(properties={"by": str(number)}) for number in range(6)]

    results = at_once(
        *(functools.partial(images.update, before, after, LATER) for after in changes)
    )

    winners = [result for result in results if isinstance(result, Image)]
    losers = [result for result in results if isinstance(result, errors.ImageChanged)]
    assert len(winners) == 1
    assert len(losers) == 5
    assert images.show(before.id, OWNER) == winners[0]


def test_a_patch_and_an_upload_do_not_undo_each_other(images: Images) -> None:
    before = images.insert(an_image())

    images.claim(before.id, "queued", "saving", "token", "worker", "store", LATER)

    with pytest.raises(errors.ImageChanged):
        images.update(before, before._replace(disk_format="qcow2"), LATER)


def test_a_status_changes_only_from_the_one_expected(images: Images) -> None:
    image = images.insert(an_image(status="active"))

    assert images.set_status(image.id, "active", "deactivated", LATER) is True
    assert images.set_status(image.id, "active", "deactivated", LATER) is False

    shown = images.show(image.id, OWNER)
    assert shown is not None
    assert (shown.status, shown.version) == ("deactivated", 2)


def test_tags_added_at_once_are_all_there(images: Images) -> None:
    image = images.insert(an_image())
    tags = [f"t{number % 4}" for number in range(8)]

    results = at_once(
        *(functools.partial(images.add_tag, image.id, tag, 4, LATER) for tag in tags)
    )

    assert results == [None] * 8
    shown = images.show(image.id, OWNER)
    assert shown is not None
    assert shown.tags == ("t0", "t1", "t2", "t3")


def test_racing_tags_stay_within_the_limit(images: Images) -> None:
    image = images.insert(an_image(tags=("there",)))

    results = at_once(
        *(
            functools.partial(images.add_tag, image.id, f"t{number}", 3, LATER)
            for number in range(6)
        )
    )

    assert sum(result is None for result in results) == 2
    assert sum(isinstance(result, errors.TagLimit) for result in results) == 4
    shown = images.show(image.id, OWNER)
    assert shown is not None
    assert len(shown.tags) == 3


def test_removing_a_tag_that_is_not_there_changes_nothing(images: Images) -> None:
    image = images.insert(an_image(tags=("a",)))

    assert images.remove_tag(image.id, "b", LATER) is False
    assert images.show(image.id, OWNER) == image
    assert images.remove_tag(image.id, "a", LATER) is True

    shown = images.show(image.id, OWNER)
    assert shown is not None
    assert (shown.tags, shown.version) == ((), 2)


def test_tags_of_an_image_that_is_gone_are_refused(images: Images) -> None:
    with pytest.raises(errors.ImageNotFound):
        images.add_tag("no-such-image", "a", -1, LATER)
    with pytest.raises(errors.ImageNotFound):
        images.remove_tag("no-such-image", "a", LATER)


def test_a_tag_added_later_is_found_in_page_order(images: Images) -> None:
    first = images.insert(an_image(visibility="public", created_at=NOW))
    second = images.insert(an_image(visibility="public", created_at=LATER))
    images.add_tag(second.id, "lts", -1, LATER)
    images.add_tag(first.id, "lts", -1, LATER)

    page = images.list(Query(limit=5, viewer=OTHER, tags=("lts",)))

    assert [image.id for image in page.images] == [second.id, first.id]


def test_what_lies_in_a_store_that_is_gone_may_lie_in_any(images: Images) -> None:
    known = ["fast", "cold"]
    assert not images.any_in("cold", known)

    image = images.insert(an_image())
    images.claim(image.id, "queued", "saving", "u", "worker", "fast", NOW)
    assert (images.any_in("fast", known), images.any_in("cold", known)) == (True, False)
    assert images.any_in("cold", ["cold"])

    images.attach("u", image.id, Bytes(size=60), "fast", NOW)
    assert (images.any_in("fast", known), images.any_in("cold", known)) == (True, False)
    assert images.any_in("cold", ["cold"])

    images.doom(image.id, "d", "worker", NOW)
    assert not images.any_in("cold", known)
