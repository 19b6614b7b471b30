"""Callers whom the matrix does not know: other scopes, service tokens, odd spellings."""

import json

import pytest

from tests.policy.conftest import PROJECTS, World
from tests.policy.operations import OPERATIONS, PATCH, Asked, Request

OWNER = PROJECTS["owner"]

LIST = Request("GET", "/v2/images")
CREATE = Request("POST", "/v2/images", b"{}")


def of_image(name: str, image: str) -> Request:
    return OPERATIONS[name].request(Asked(image, "public", "", "", "", ""))


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({"OpenStack-System-Scope": "all"}, id="system"),
        pytest.param({"X-Domain-Id": "default"}, id="domain"),
    ],
)
def test_a_token_of_another_scope_passes_no_rule_whatever_its_roles(
    world: World, scope: dict[str, str]
):
    identity = {**scope, "X-Roles": "admin,manager,member,reader,service"}
    image = world.images.get("public", "active")
    before = world.images.rows(image)

    for request in (LIST, CREATE, Request("GET", "/v2/info/stores/detail")):
        assert world.app.send(request, identity).status == 403
    for name in ("show", "update", "delete", "download", "add tag", "list members"):
        assert world.app.send(of_image(name, image), identity).status == 404, name
    assert world.images.rows(image) == before


def test_roles_of_a_service_token_are_no_roles_of_the_caller(world: World):
    image = world.images.get("shared", "active")
    identity = {
        "X-Project-Id": OWNER,
        "X-Roles": "some-other-role",
        "X-Service-Roles": "admin,member,reader,service",
        "X-Service-Project-Id": OWNER,
    }

    assert world.app.send(LIST, identity).status == 403
    assert world.app.send(CREATE, identity).status == 403
    detail = Request("GET", "/v2/info/stores/detail")
    assert world.app.send(detail, identity).status == 403
    for name in ("show", "update", "delete", "download"):
        assert world.app.send(of_image(name, image), identity).status == 404, name


@pytest.mark.parametrize("roles", ["READER", "Reader", " reader ,other"])
def test_roles_are_compared_without_case_and_blanks(world: World, roles: str):
    image = world.images.get("shared", "active")

    answer = world.app(OWNER, roles, of_image("show", image))

    assert answer.status == 200


@pytest.mark.parametrize("roles", ["read", "readers", "reader member", "role:reader"])
def test_roles_are_whole_words(world: World, roles: str):
    assert world.app(OWNER, roles, LIST).status == 403


@pytest.mark.parametrize(
    ("visibility", "expected"),
    [("public", 200), ("community", 200), ("shared", 404), ("private", 404)],
)
@pytest.mark.parametrize("project", [OWNER, "", "None"])
def test_an_image_without_owner_is_nobodys(
    world: World, visibility: str, expected: int, project: str
):
    document = {"owner": None, "visibility": visibility}
    sent = Request("POST", "/v2/images", json.dumps(document).encode())
    image = str(world.app(OWNER, "A", sent).json["id"])
    identity = {"X-Roles": "member,reader"}
    if project:
        identity["X-Project-Id"] = project

    assert world.app.send(of_image("show", image), identity).status == expected
    refused = 403 if expected == 200 else 404
    for name in ("update", "delete", "add tag"):
        answer = world.app.send(of_image(name, image), identity)
        assert answer.status == refused, name

    world.images.remove(image)


def test_nobody_gives_an_image_to_another_project(world: World):
    image = world.images.get("shared", "active")
    change = [{"op": "add", "path": "/owner", "value": PROJECTS["stranger"]}]
    request = Request(
        "PATCH", f"/v2/images/{image}", json.dumps(change).encode(), PATCH
    )
    before = world.images.rows(image)

    assert world.app(OWNER, "u", request).status == 403
    assert world.images.rows(image) == before
