"""Who sees which member rows, what anonymous callers may do, whose lists they are."""

import pytest

from imageservice import errors
from imageservice.domain.member import Member
from imageservice.domain.query import Page, Query, Viewer
from imageservice.layers.auth import NEEDS, Auth, Need
from imageservice.layers.base import stack


class Images:
    """Answers with what it was asked."""

    def list(self, ctx, query):
        self.query = query
        return Page([], False, None)

    def show(self, ctx, image):
        return image

    def delete(self, ctx, image):
        self.deleted = image

    def claim(self, ctx, image, store):
        raise AssertionError("reached from outside")


class Members:
    def list(self, ctx, image):
        return [a_member("one"), a_member("two")]

    def show(self, ctx, image, member_id):
        return a_member(member_id)

    def change(self, ctx, image, member_id, status):
        return a_member(member_id)


def a_member(member_id):
    return Member("i1", member_id, "pending", None, None)


@pytest.fixture
def members():
    return stack(Auth("members"), Members())


def test_a_list_is_made_for_the_caller(a_caller):
    service = Images()

    stack(Auth("images"), service).list(a_caller("p", "admin"), Query(limit=1))

    assert service.query.viewer == Viewer("p", True)


def test_an_anonymous_caller_may_look_but_not_touch(a_caller, an_image):
    images = stack(Auth("images"), Images())
    anonymous = a_caller(None, read_only=True)

    assert images.show(anonymous, an_image()) == an_image()
    with pytest.raises(errors.ReadOnlyAccess, match="Read-only access"):
        images.delete(anonymous, an_image())


def test_an_operation_without_a_row_cannot_be_called(a_caller, an_image):
    with pytest.raises(KeyError):
        stack(Auth("images"), Images()).claim(a_caller("p", "admin"), an_image(), "s")


@pytest.mark.parametrize(
    ("project", "roles", "rows"),
    [
        pytest.param("owners", ["member"], ["one", "two"], id="owner"),
        pytest.param("else", ["admin"], ["one", "two"], id="admin"),
        pytest.param("two", ["member"], ["two"], id="member"),
        pytest.param("else", ["member"], [], id="stranger"),
    ],
)
def test_members_see_only_themselves(a_caller, an_image, members, project, roles, rows):
    found = members.list(a_caller(project, *roles), an_image())

    assert [row.member_id for row in found] == rows


def test_a_row_of_another_project_is_not_found(a_caller, an_image, members):
    caller = a_caller("two", "member")

    assert members.show(caller, an_image(), "two").member_id == "two"
    with pytest.raises(errors.MemberNotFound):
        members.show(caller, an_image(), member_id="one")
    with pytest.raises(errors.MemberNotFound):
        members.change(caller, an_image(), "one", status="accepted")


def test_rows_of_an_image_that_is_not_shared_are_left_to_the_service(
    a_caller, an_image, members
):
    image = an_image(visibility="public")

    assert members.show(a_caller("two", "member"), image, "one").member_id == "one"


def test_nobody_owns_an_image_without_owner(a_caller, an_image, members):
    assert members.list(a_caller(None, "member"), an_image(owner=None)) == []


def test_only_reading_is_open_to_anonymous_callers():
    reading = {("images", "list"), ("images", "find"), ("images", "show")}
    reading |= {("images", "download"), ("members", "list"), ("members", "show")}
    reading |= {
        ("locations", "list"),
        ("stores", "detail"),
        ("usage", "show"),
        ("usage", "room"),
    }

    assert {row for row, need in NEEDS.items() if Need.CHANGE not in need} == reading
