"""What the operator's rules let through, and what a refusal looks like."""

import pytest

from imageservice import errors
from imageservice.domain.changes import Change
from imageservice.domain.proposals import Proposal
from imageservice.domain.query import Page, Query
from imageservice.layers.base import stack
from imageservice.layers.policy import Policy

DONE = object()


class Service:
    """Does everything that it is asked; what gets here was allowed."""

    def __init__(self, page=None):
        self._page = page

    def list(self, ctx, target):
        return self._page

    def __getattr__(self, operation):
        return lambda *args, **kwargs: DONE


@pytest.fixture
def images(an_enforcer):
    return stack(Policy("images", an_enforcer()), Service())


@pytest.fixture
def members(an_enforcer):
    return stack(Policy("members", an_enforcer()), Service())


CALLS = [
    ("create",),
    ("update", [Change("replace", "name", "x")]),
    ("delete",),
    ("upload", None, None, None),
    ("deactivate",),
    ("reactivate",),
    ("add_tag", "t"),
    ("remove_tag", "t"),
]
IDS = [call[0] for call in CALLS]


@pytest.mark.parametrize("call", CALLS, ids=IDS)
def test_a_member_of_the_project_may_change_its_images(
    images, a_caller, an_image, call
):
    operation, *args = call
    caller = a_caller("owners", "member", "reader")

    assert getattr(images, operation)(caller, an_image(), *args) is DONE


@pytest.mark.parametrize("call", CALLS, ids=IDS)
def test_a_reader_of_the_project_may_not_and_is_told_the_rule(
    images, a_caller, an_image, call
):
    operation, *args = call

    with pytest.raises(errors.PolicyForbids, match="not authorized to complete"):
        getattr(images, operation)(a_caller("owners", "reader"), an_image(), *args)


@pytest.mark.parametrize("call", CALLS[1:], ids=IDS[1:])
def test_who_may_not_even_see_it_is_told_that_there_is_none(
    images, a_caller, an_image, call
):
    operation, *args = call
    image = an_image(visibility="public")

    with pytest.raises(errors.ImageNotFound):
        getattr(images, operation)(a_caller("owners"), image, *args)


@pytest.mark.parametrize("visibility", ["public", "community"])
def test_a_stranger_may_download_what_is_open_but_not_change_it(
    images, a_caller, an_image, visibility
):
    stranger = a_caller("else", "member", "reader")
    image = an_image(visibility=visibility)

    assert images.show(stranger, image) is DONE
    assert images.download(stranger, image, 0, None, ()) is DONE
    with pytest.raises(errors.PolicyForbids):
        images.delete(stranger, image)


def test_a_reader_may_see_but_not_download(images, a_caller, an_image):
    reader = a_caller("owners", "reader")

    assert images.show(reader, an_image()) is DONE
    with pytest.raises(errors.PolicyForbids, match="download_image"):
        images.download(reader, an_image(), 0, None, ())


def test_a_role_that_implies_nothing_is_refused(images, a_caller):
    with pytest.raises(errors.PolicyForbids, match="get_images"):
        images.list(a_caller("owners", "manager"), Query(limit=1))


@pytest.mark.parametrize(
    ("visibility", "rule"),
    [("public", "publicize_image"), ("community", "communitize_image")],
)
def test_spreading_an_image_has_a_rule_of_its_own(
    an_enforcer, a_caller, an_image, visibility, rule
):
    images = stack(
        Policy("images", an_enforcer(f'"{rule}": "role:speaker"')), Service()
    )
    member = a_caller("owners", "member", "reader")
    speaker = a_caller("owners", "member", "speaker", "reader")
    change = [Change("replace", "visibility", visibility)]

    with pytest.raises(errors.PolicyForbids, match=rule):
        images.update(member, an_image(), change)
    with pytest.raises(errors.PolicyForbids, match=rule):
        images.create(member, an_image(visibility=visibility))
    assert images.update(speaker, an_image(), changes=change) is DONE
    assert images.create(speaker, an_image(visibility=visibility)) is DONE


def test_choosing_a_store_has_a_rule_of_its_own(an_enforcer, a_caller, an_image):
    closed = an_enforcer('"download_from_store": "!"')
    images = stack(Policy("images", closed), Service())
    member = a_caller("owners", "member", "reader")

    assert images.download(member, an_image(), 0, None, prefer=()) is DONE
    with pytest.raises(errors.PolicyForbids, match="download_from_store"):
        images.download(member, an_image(), 0, None, prefer=["fast"])


def test_a_foreign_owner_is_named(images, a_caller, an_image):
    member = a_caller("p", "member")

    with pytest.raises(errors.OwnerForbidden, match="owned by 'owners'"):
        images.create(member, an_image())
    assert images.create(a_caller("p", "admin"), an_image()) is DONE


def test_an_empty_update_takes_no_more_than_seeing_it(images, a_caller, an_image):
    image = an_image(visibility="public")

    assert images.update(a_caller("else", "reader"), image, []) is DONE
    with pytest.raises(errors.ImageNotFound):
        images.update(a_caller("else"), image, [])


def test_a_list_leaves_out_what_may_not_be_seen_and_keeps_the_marker(
    an_enforcer, a_caller, an_image
):
    mine, public = an_image(id="1"), an_image(id="2", owner="x", visibility="public")
    enforcer = an_enforcer('"get_image": "project_id:%(owner)s"')
    page = Page([mine, public], is_full=True, last_id="2")
    images = stack(Policy("images", enforcer), Service(page))

    found = images.list(a_caller("owners", "reader"), Query(limit=2))

    assert found == Page([mine], is_full=True, last_id="2")


def test_finding_the_target_takes_no_rule(images, a_caller):
    assert images.find(a_caller(None), "i1") is DONE


def test_an_operation_without_a_row_cannot_be_called(images, a_caller, an_image):
    with pytest.raises(KeyError):
        images.bury(a_caller("p", "admin"), an_image())


# --- members (images.md §12) ---


def test_the_member_accepts_and_the_owner_cannot(members, a_caller, an_image):
    image = an_image(membership="pending")

    assert members.change(a_caller("p", "member", "reader"), image, "p", "accepted")
    with pytest.raises(errors.PolicyForbids, match="modify_member"):
        members.change(
            a_caller("owners", "member", "reader"), an_image(), "p", "accepted"
        )


def test_the_owner_shares_and_the_member_can_neither_invite_nor_leave(
    members, a_caller, an_image
):
    owner, member = (a_caller(p, "member", "reader") for p in ("owners", "p"))
    image = an_image(membership="accepted")

    assert members.add(owner, an_image(), "p") is DONE
    assert members.remove(owner, an_image(), "p") is DONE
    with pytest.raises(errors.PolicyForbids, match="add_member"):
        members.add(member, image, "q")
    with pytest.raises(errors.PolicyForbids, match="delete_member"):
        members.remove(member, image, "p")


def test_showing_a_member_answers_not_found_for_every_refusal(
    members, a_caller, an_image
):
    stranger = a_caller("else", "member", "reader")
    image = an_image(visibility="public")

    with pytest.raises(errors.MemberNotFound, match="member p"):
        members.show(stranger, image, member_id="p")
    with pytest.raises(errors.PolicyForbids, match="get_members"):
        members.list(stranger, image)


def test_members_of_an_image_that_may_not_be_seen_are_not_found(
    members, a_caller, an_image
):
    with pytest.raises(errors.ImageNotFound):
        members.list(a_caller("owners"), an_image())


@pytest.mark.parametrize(
    ("url", "is_refused"),
    [
        ("http://h/x", False),
        ("https://h/x?user@h", False),
        ("http://me:secret@h/x", True),
        ("HTTPS://me@h/x", True),
        ("s3://key:secret@h/x", False),  # of stores of ours no password is kept
    ],
)
def test_a_password_in_a_location_has_a_rule_of_its_own(
    an_enforcer, a_caller, an_image, url, is_refused
):
    images = stack(Policy("images", an_enforcer()), Service())
    locations = stack(Policy("locations", an_enforcer()), Service())
    proposal = Proposal(url, {})
    asked = (
        lambda who: locations.add(who, an_image(), proposal),
        lambda who: images.update(
            who, an_image(), [Change("add", "locations", proposal)]
        ),
        lambda who: images.update(
            who, an_image(), [Change("replace", "locations", (proposal,))]
        ),
    )

    for ask in asked:
        assert ask(a_caller("owners", "admin")) is DONE
        if not is_refused:
            assert ask(a_caller("owners", "member", "reader")) is DONE
            continue
        with pytest.raises(errors.PolicyForbids, match="add_location_credentials"):
            ask(a_caller("owners", "member", "reader"))
