import functools

import pytest

from imageservice import errors
from imageservice.db.images import Images
from imageservice.db.members import Members
from imageservice.domain.member import Member
from tests.db.factories import LATER, NOW, OWNER, an_image, at_once


def test_a_member_is_pending_until_he_says_otherwise(
    images: Images, members: Members
) -> None:
    image = images.insert(an_image())

    added = members.insert(image.id, "b 😀", -1, NOW)
    members.insert(image.id, "c", -1, LATER)

    assert added == Member(image.id, "b 😀", "pending", NOW, NOW)
    assert [member.member_id for member in members.list(image.id)] == ["b 😀", "c"]
    accepted = members.set_status(image.id, "b 😀", "accepted", LATER)
    assert accepted == Member(image.id, "b 😀", "accepted", NOW, LATER)
    assert members.get(image.id, "b 😀") == accepted
    assert images.show(image.id, OWNER) == image


@pytest.mark.parametrize("member_id", ["x", "nul \0", "\ud800"])
def test_who_is_no_member_is_not_found(
    images: Images, members: Members, member_id: str
) -> None:
    image = images.insert(an_image())

    assert members.get(image.id, member_id) is None
    assert members.set_status(image.id, member_id, "accepted", NOW) is None
    assert members.delete(image.id, member_id) is False


def test_a_member_can_be_removed_and_added_again(
    images: Images, members: Members
) -> None:
    image = images.insert(an_image())
    members.insert(image.id, "b", -1, NOW)
    with pytest.raises(errors.MemberExists):
        members.insert(image.id, "b", -1, NOW)

    assert members.delete(image.id, "b") is True

    assert members.insert(image.id, "b", -1, NOW).status == "pending"


def test_racing_members_stay_within_the_limit_and_exist_once(
    images: Images, members: Members
) -> None:
    image = images.insert(an_image())

    results = at_once(
        *(
            functools.partial(members.insert, image.id, f"m{number % 3}", 2, NOW)
            for number in range(6)
        )
    )

    refused = (errors.MemberLimit, errors.MemberExists)
    assert sum(isinstance(result, Member) for result in results) == 2
    assert sum(isinstance(result, refused) for result in results) == 4
    assert len(members.list(image.id)) == 2


def test_nobody_becomes_a_member_of_what_is_gone(
    images: Images, members: Members
) -> None:
    image = images.insert(an_image())
    members.insert(image.id, "b", -1, NOW)
    images.doom(image.id, "d", "w", NOW)

    with pytest.raises(errors.ImageNotFound):
        members.insert(image.id, "c", -1, NOW)
    assert members.list(image.id) == []
