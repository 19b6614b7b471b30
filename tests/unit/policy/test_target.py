"""What rules see of images."""

import pytest

from imageservice.policy import target


def test_core_names_cannot_be_taken_over_by_properties(an_image, a_caller):
    taken = ("project_id", "owner", "member_id", "image_id", "visibility", "locations")
    image = an_image(owner="owners", properties=dict.fromkeys(taken, "evil"))

    on = target.Existing(a_caller("p"), image)

    assert "evil" not in dict(on).values()


def test_names_that_are_only_ours_inside_are_free_for_properties(an_image, a_caller):
    image = an_image(properties={"version": "9", "membership": "gold"})

    on = target.Existing(a_caller("p"), image)

    assert (on["version"], on["membership"]) == ("9", "gold")


@pytest.mark.parametrize(
    ("project", "values", "seen"),
    [
        pytest.param("p", {"membership": "pending"}, "p", id="member"),
        pytest.param("p", {}, None, id="stranger"),
        pytest.param("owners", {"membership": "accepted"}, None, id="owner"),
        pytest.param(
            "p", {"membership": "accepted", "visibility": "public"}, None, id="dormant"
        ),
    ],
)
def test_member_id_is_the_project_that_sees_it_by_membership(
    an_image, a_caller, project, values, seen
):
    on = target.Existing(a_caller(project), an_image(**values))

    assert on.get("member_id") == seen


def test_an_image_without_owner_belongs_to_no_project(an_image, a_caller, an_enforcer):
    ctx = a_caller(None, "member", "reader")
    on = target.Existing(ctx, an_image(owner=None, visibility="private"))

    assert "owner" not in on
    assert not an_enforcer().allows("modify_image", ctx, on)


def test_a_proposed_image_looks_private_unless_more_was_asked_for(an_image, a_caller):
    ctx = a_caller("p")

    assert (
        target.Proposed(ctx, an_image(visibility="shared"))["visibility"] == "private"
    )
    assert target.Proposed(ctx, an_image(visibility="public"))["visibility"] == "public"


def test_every_attribute_can_be_listed(an_image, a_caller):
    on = target.Existing(a_caller("owners"), an_image(properties={"x": "1"}))

    assert {"id", "image_id", "name", "min_ram", "x", "project_id"} <= set(on)
    assert len(on) == len(dict(on))
    assert "locations" not in on
