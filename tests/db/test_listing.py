import datetime
import itertools
import random

import pytest

from imageservice import errors
from imageservice.db.images import Images
from imageservice.db.members import Members
from imageservice.db.usage import Usage
from imageservice.domain.image import Image
from imageservice.domain.query import SORT_KEYS, Condition, Query, Sort, Viewer
from tests.db.factories import (
    ADMIN,
    LATER,
    NOBODY,
    NOW,
    OTHER,
    OWNER,
    Bytes,
    an_image,
)


def some_images(seed: int, count: int) -> list[Image]:
    """Images full of NULLs and ties, by several owners."""
    dice = random.Random(seed)
    return [
        an_image(
            id=f"{dice.getrandbits(64):016x}-{number}",
            name=dice.choice([None, "", "a", "B", "b", "é", "😀", "a "]),
            status=dice.choice(["queued", "active", "deactivated"]),
            visibility=dice.choice(["public", "community", "shared", "private"]),
            owner=dice.choice(["owner", "other", "third", None]),
            disk_format=dice.choice([None, "raw", "qcow2"]),
            container_format=dice.choice([None, "bare", "ova"]),
            created_at=NOW + datetime.timedelta(microseconds=dice.randrange(5)),
            updated_at=NOW + datetime.timedelta(seconds=dice.randrange(4)),
            properties={"p": dice.choice("xy")},
            tags=tuple(dice.sample(["s", "t"], dice.randrange(3))),
        )
        for number in range(count)
    ]


def sorted_by(images: list[Image], sorts: tuple[Sort, ...]) -> list[str]:
    """The ids in the order of the contract: what is not known comes before all else."""
    for sort in reversed(sorts):
        key = sort.key

        def value(image: Image, key: str = key) -> tuple[bool, object]:
            found = getattr(image, key)
            if isinstance(found, str):
                found = found.encode()
            if found is None:
                found = b"" if key != "size" else -1
            return found

        images = sorted(images, key=value, reverse=sort.descending)
    return [image.id for image in images]


def walk(images: Images, query: Query) -> list[str]:
    """The ids of all pages, one after the other."""
    ids: list[str] = []
    for _ in range(200):
        marker = ids[-1] if ids else None
        page = images.list(
            Query(
                limit=query.limit,
                sort=query.sort,
                marker=marker,
                conditions=query.conditions,
                properties=query.properties,
                tags=query.tags,
                visibility=query.visibility,
                member_status=query.member_status,
                viewer=query.viewer,
            )
        )
        ids += [image.id for image in page.images]
        if not page.is_full:
            return ids
    raise AssertionError("the pages do not end")


def orders() -> list[tuple[Sort, ...]]:
    tails = [(Sort("created_at", down), Sort("id", down)) for down in (False, True)]
    single = [
        (Sort(key, tail[0].descending), *tail)
        for key, tail in itertools.product(SORT_KEYS, tails)
    ]
    mixed = [
        (
            Sort("name", False),
            Sort("size", True),
            Sort("created_at", True),
            Sort("id", False),
        ),
        (Sort("status", True), Sort("disk_format", False), Sort("id", True)),
    ]
    return single + mixed


def test_pages_of_any_size_and_order_hold_everything_once(
    images: Images, members: Members
) -> None:
    stored = [images.insert(image) for image in some_images(7, 40)]
    for image in stored[::3]:
        members.insert(image.id, "other", -1, NOW)
        members.set_status(image.id, "other", "accepted", NOW)
    for number, image in enumerate(stored[::2]):
        if image.status == "queued":
            images.claim(image.id, "queued", "saving", f"{number}", "w", "s", NOW)
            images.attach(f"{number}", image.id, Bytes(size=number % 4), "s", NOW)
    sizes = itertools.cycle(range(1, 8))

    for viewer, visibility in itertools.product((ADMIN, OTHER, NOBODY), (None, "all")):
        whole = images.list(Query(limit=1000, viewer=viewer, visibility=visibility))
        assert len(whole.images) > 10
        for sorts in orders():
            query = Query(
                limit=next(sizes), viewer=viewer, visibility=visibility, sort=sorts
            )
            assert walk(images, query) == sorted_by(whole.images, sorts), query


def test_pages_by_property_and_tag_hold_everything_once(images: Images) -> None:
    stored = [images.insert(image) for image in some_images(8, 40)]
    orders_tried = [*orders()[:4], *orders()[-4:]]

    for viewer, sorts in itertools.product((ADMIN, OTHER), orders_tried):
        everything = images.list(Query(limit=1000, viewer=viewer, visibility="all"))
        wanted = [
            image
            for image in everything.images
            if image.properties["p"] == "x" and "t" in image.tags
        ]
        query = Query(
            limit=3,
            viewer=viewer,
            visibility="all",
            sort=sorts,
            properties=(("p", "x"),),
            tags=("t",),
        )
        assert walk(images, query) == sorted_by(wanted, sorts)
    assert len(stored) == 40


# --- who sees what: contract images.md §7 ----------------------------------------------

VISIBILITIES = ("public", "community", "shared", "private")


@pytest.fixture
def cloud(images: Images, members: Members) -> dict[str, str]:
    """One image of each kind, by name; returns the names by id."""
    names = {}
    for owner, visibility in itertools.product(("owner", None), VISIBILITIES):
        image = images.insert(an_image(owner=owner, visibility=visibility))
        names[image.id] = f"{'owned' if owner else 'ownerless'} {visibility}"
        # Rows of members on images that are not shared are inert; those of an
        # ownerless one give nothing (✗18).
        if visibility != "shared" or owner is None:
            members.insert(image.id, "other", -1, NOW)
            members.set_status(image.id, "other", "accepted", NOW)
    for status in ("pending", "accepted", "rejected"):
        image = images.insert(an_image())
        members.insert(image.id, "other", -1, NOW)
        members.set_status(image.id, "other", status, NOW)
        names[image.id] = f"{status} by other"
    return names


EVERYTHING = {
    *(f"owned {visibility}" for visibility in VISIBILITIES),
    *(f"ownerless {visibility}" for visibility in VISIBILITIES),
    "pending by other", "accepted by other", "rejected by other",
}  # fmt: skip
OPEN = {"owned public", "ownerless public", "owned community", "ownerless community"}
BY_OTHER = {"pending by other", "accepted by other", "rejected by other"}


@pytest.mark.parametrize(
    ("viewer", "expected"),
    [
        pytest.param(ADMIN, EVERYTHING, id="admin"),
        pytest.param(
            OWNER, {n for n in EVERYTHING if "ownerless" not in n} | OPEN, id="owner"
        ),
        pytest.param(OTHER, OPEN | BY_OTHER, id="member-whatever-he-said"),
        pytest.param(Viewer("third", False), OPEN, id="other-project"),
        pytest.param(NOBODY, OPEN, id="no-project"),
    ],
)
def test_by_id_an_image_is_seen_by_whom_the_table_says(
    images: Images, cloud: dict[str, str], viewer: Viewer, expected: set[str]
) -> None:
    seen = {name for image_id, name in cloud.items() if images.show(image_id, viewer)}

    assert seen == expected


@pytest.mark.parametrize(
    ("viewer", "asked", "expected"),
    [
        pytest.param(ADMIN, {}, EVERYTHING - {"owned community", "ownerless community"}, id="admin-without-community"),
        pytest.param(Viewer("owner", True), {}, EVERYTHING - {"ownerless community"}, id="admin-with-community-of-his-project"),
        pytest.param(Viewer(None, True), {}, EVERYTHING - {"owned community", "ownerless community"}, id="admin-without-project"),
        pytest.param(ADMIN, {"visibility": "all"}, EVERYTHING, id="admin-all"),
        pytest.param(ADMIN, {"visibility": "private"}, {"owned private", "ownerless private"}, id="admin-private"),
        pytest.param(OTHER, {}, {"owned public", "ownerless public", "accepted by other"}, id="member"),
        pytest.param(OTHER, {"member_status": "pending"}, {"owned public", "ownerless public", "pending by other"}, id="member-pending"),
        pytest.param(OTHER, {"member_status": "all"}, {"owned public", "ownerless public"} | BY_OTHER, id="member-any-status"),
        pytest.param(OTHER, {"visibility": "all"}, OPEN | {"accepted by other"}, id="member-all"),
        pytest.param(OTHER, {"visibility": "community"}, {"owned community", "ownerless community"}, id="member-community"),
        pytest.param(OTHER, {"visibility": "public"}, {"owned public", "ownerless public"}, id="member-public"),
        pytest.param(OTHER, {"visibility": "shared", "member_status": "rejected"}, {"rejected by other"}, id="member-shared-rejected"),
        pytest.param(OTHER, {"visibility": "private"}, set(), id="member-private"),
        pytest.param(OWNER, {}, {n for n in EVERYTHING if "ownerless" not in n} | {"ownerless public"}, id="owner"),
        pytest.param(OWNER, {"visibility": "shared"}, {"owned shared"} | BY_OTHER, id="owner-shared"),
        pytest.param(OWNER, {"visibility": "private"}, {"owned private"}, id="owner-private"),
        pytest.param(NOBODY, {}, {"owned public", "ownerless public"}, id="no-project"),
        pytest.param(NOBODY, {"visibility": "shared"}, set(), id="no-project-shared"),
        pytest.param(None, {}, set(), id="no-viewer-closed"),
    ],
)  # fmt: skip
def test_a_list_holds_what_the_table_says(
    images: Images,
    cloud: dict[str, str],
    viewer: Viewer | None,
    asked: dict[str, str],
    expected: set[str],
) -> None:
    page = images.list(Query(limit=100, viewer=viewer, **asked))

    names = [cloud[image.id] for image in page.images]
    assert set(names) == expected
    assert len(names) == len(expected)


def test_the_members_own_status_comes_with_what_is_shared_with_him(
    images: Images, cloud: dict[str, str]
) -> None:
    page = images.list(Query(limit=100, viewer=OTHER, member_status="all"))

    memberships = {cloud[image.id]: image.membership for image in page.images}
    assert memberships == {
        "owned public": None,
        "ownerless public": None,
        "pending by other": "pending",
        "accepted by other": "accepted",
        "rejected by other": "rejected",
    }
    for image in page.images:
        assert images.show(image.id, OTHER) == image


@pytest.mark.parametrize("status", ["killed", "pending_delete", "deleted"])
def test_nobody_sees_what_is_on_its_way_out(
    images: Images, usage: Usage, status: str
) -> None:
    image = images.insert(an_image(status=status, visibility="public"))
    usage.recount("owner")  # such an image is not made by insert() elsewhere

    for viewer in (ADMIN, OWNER, OTHER):
        assert images.show(image.id, viewer) is None
        assert not images.list(Query(limit=5, viewer=viewer, visibility="all")).images
        with pytest.raises(errors.MarkerUnknown):
            images.list(Query(limit=5, viewer=viewer, marker=image.id))


def test_hidden_images_are_listed_only_when_asked_for(images: Images) -> None:
    shown = images.insert(an_image())
    hidden = images.insert(an_image(os_hidden=True))

    assert images.list(Query(limit=5, viewer=OWNER)).images == [shown]
    assert images.list(Query(limit=5, viewer=OWNER, os_hidden=True)).images == [hidden]


# --- markers and conditions ------------------------------------------------------------


def test_a_marker_that_the_viewer_may_not_see_is_unknown(images: Images) -> None:
    private = images.insert(an_image(visibility="private"))

    for marker in (private.id, "no-such-image", "", "é", "x" * 99):
        with pytest.raises(errors.MarkerUnknown):
            images.list(Query(limit=5, viewer=OTHER, marker=marker))
        with pytest.raises(errors.MarkerUnknown):
            images.list(Query(limit=0, viewer=OTHER, marker=marker))


def test_a_marker_need_not_match_the_filters(images: Images) -> None:
    old = images.insert(an_image(name="old", created_at=NOW))
    new = images.insert(an_image(name="new", created_at=LATER))

    page = images.list(
        Query(
            limit=5,
            viewer=OWNER,
            marker=new.id,
            conditions=(Condition("name", "eq", "old"),),
        )
    )

    assert page.images == [old]


def test_a_page_of_nothing_is_not_full(images: Images) -> None:
    images.insert(an_image())

    assert images.list(Query(limit=0, viewer=OWNER)) == ([], False, None)


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        pytest.param(Condition("name", "eq", "a"), {"a"}, id="equal"),
        pytest.param(Condition("name", "eq", ""), {""}, id="empty-is-not-null"),
        pytest.param(Condition("name", "in", ("a", "", "no")), {"a", ""}, id="in"),
        pytest.param(Condition("name", "in", ()), set(), id="in-nothing"),
        pytest.param(Condition("name", "eq", "A"), set(), id="case"),
        pytest.param(Condition("name", "eq", "a "), set(), id="trailing-space"),
        pytest.param(Condition("owner", "eq", None), set(), id="null"),
        pytest.param(Condition("name", "eq", None), {None}, id="name-null"),
        pytest.param(Condition("size", "lte", 10), {"a"}, id="size-at-most"),
        pytest.param(Condition("size", "gte", -5), {"a"}, id="size-known"),
        pytest.param(
            Condition("size", "eq", -1), set(), id="size-unknown-is-no-number"
        ),
        pytest.param(Condition("min_disk", "gt", 3), {""}, id="min-disk"),
        pytest.param(Condition("protected", "eq", True), {""}, id="protected"),
        pytest.param(Condition("created_at", "neq", NOW), {""}, id="not-at"),
        pytest.param(Condition("created_at", "gt", NOW), {""}, id="after"),
        pytest.param(Condition("name", "eq", "nul \0"), set(), id="nul"),
        pytest.param(Condition("name", "in", ("nul \0", "a")), {"a"}, id="nul-in"),
        pytest.param(Condition("id", "eq", "\ud800"), set(), id="surrogate"),
        *(
            pytest.param(
                Condition(column, operator, sign * 2**bits),
                expected,
                id=f"{column}-{operator}-{'-' if sign < 0 else ''}{bits}-bits",
            )
            for bits, (column, operator, sign, expected) in itertools.product(
                (63, 64, 200),
                (
                    ("size", "eq", 1, set()),
                    ("size", "lte", 1, {"a"}),
                    ("size", "gt", 1, set()),
                    ("size", "lt", -1, set()),
                    ("size", "gt", -1, {"a"}),
                    ("min_disk", "eq", 1, set()),
                    ("min_disk", "lte", 1, {"a", "", None}),
                    ("min_disk", "gte", 1, set()),
                ),
            )
        ),
    ],
)
def test_conditions_find(
    images: Images, condition: Condition, names: set[str | None]
) -> None:
    sized = images.insert(an_image(name="a"))
    images.claim(sized.id, "queued", "saving", "token", "worker", "store", NOW)
    images.attach("token", sized.id, Bytes(size=10), "store", NOW)
    images.insert(an_image(name="", min_disk=4, protected=True, created_at=LATER))
    images.insert(an_image(name=None))

    page = images.list(Query(limit=5, viewer=OWNER, conditions=(condition,)))

    assert {image.name for image in page.images} == names
    assert len(page.images) == len(names)
