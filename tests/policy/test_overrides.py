"""What an operator writes into policy.yaml counts wherever the thing can be got at."""

from typing import NamedTuple

import pytest

from imageservice.policy import reserved, rules
from tests.policy import judge
from tests.policy.cells import Cell
from tests.policy.conftest import PROJECTS, AWorld, World
from tests.policy.operations import OPERATIONS

#: What asks for which rule. Where ``get_image`` is refused nothing else is possible.
ASKS = {
    "add_image": ["create"],
    "delete_image": ["delete"],
    "get_images": ["list", "list all"],
    "modify_image": [
        "update",
        "publicize",
        "communitize",
        "privatize",
        "add tag",
        "remove tag",
    ],
    "publicize_image": ["publicize"],
    "communitize_image": ["communitize"],
    "download_image": ["download", "download from a store"],
    "download_from_store": ["download from a store"],
    "upload_image": ["upload"],
    "deactivate": ["deactivate"],
    "reactivate": ["reactivate"],
    "fetch_image_location": ["fetch locations"],
    "add_image_location": ["register location with a password", "register location"],
    "add_location_credentials": ["register location with a password"],
    "set_image_location": ["set location"],
    "get_image_location": ["remove copy"],
    "delete_image_location": ["remove location", "remove copy"],
    "add_member": ["add member"],
    "delete_member": ["remove the accepted member"],
    "get_members": ["list members"],
    "modify_member": ["answer for the accepted member"],
    "stores_info_detail": ["stores in detail"],
}

#: Not shown to be refused by 403: 404, a list that is empty, or the base of others.
OTHERWISE = {"get_image", "get_member", "default", "context_is_admin", "service_api"}

#: Operations on one image.
OF_IMAGES = [
    name
    for name in OPERATIONS
    if not name.startswith("list")
    and name not in ("create", "stores in detail", "schema", "stores", "import")
] + ["list members"]


def wrong(world: World, name: str, cell: Cell) -> str | None:
    return judge.wrong(name, cell, world.app, world.images, PROJECTS)


def test_there_is_a_test_for_every_rule():
    later = {rule.name for rule in reserved.RESERVED}

    assert set(ASKS) | OTHERWISE | later == rules.NAMES


@pytest.mark.parametrize("rule", ASKS)
def test_a_rule_that_lets_nobody_in_refuses_what_it_guards_and_nothing_else(
    rule: str, a_world: AWorld
):
    closed = a_world(f'{rule}: "!"')

    for name in [*OF_IMAGES, "create", "list", "list all", "stores in detail"]:
        expected = "x" if name in ASKS[rule] else "+"
        if name in ("show oneself", "answer for oneself", "remove oneself"):
            continue
        cell = Cell("shared", "owner", "A", expected)
        assert wrong(closed, name, cell) is None, name


def test_what_get_member_refuses_is_not_found(a_world: AWorld):
    world = a_world('get_member: "!"')

    cell = Cell("shared", "owner", "A", ".")
    assert wrong(world, "show the accepted member", cell) is None


class Hidden(NamedTuple):
    """A rule of an operator's own that hides the image from whom it is asked for."""

    rule: str
    relation: str
    role: str


@pytest.mark.parametrize(
    "hidden",
    [
        pytest.param(Hidden("!", "owner", "A"), id="nobody"),
        pytest.param(Hidden("role:auditor", "owner", "u"), id="a-role"),
        pytest.param(Hidden("not role:member", "owner", "u"), id="not-a-role"),
        pytest.param(Hidden("'red':%(colour)s", "owner", "u"), id="a-property"),
        pytest.param(
            Hidden("not 'blue':%(colour)s", "accepted", "u"), id="not-a-property"
        ),
        pytest.param(Hidden("'queued':%(os_hidden)s", "owner", "A"), id="an-attribute"),
        pytest.param(Hidden("rule:mine", "owner", "u"), id="a-rule-of-ones-own"),
    ],
)
def test_who_may_not_get_an_image_gets_nothing_of_it(hidden: Hidden, a_world: AWorld):
    world = a_world(f'get_image: "{hidden.rule}"\nmine: "role:auditor"\n')

    for name in OF_IMAGES:
        cell = Cell("shared", hidden.relation, hidden.role, ".")
        assert wrong(world, name, cell) is None, name
    for name in ("list", "list all", "list shared"):
        cell = Cell("shared", hidden.relation, hidden.role, "o")
        assert wrong(world, name, cell) is None, name


@pytest.mark.parametrize(
    ("policy", "role"),
    [
        pytest.param("@", "-", id="everybody"),
        pytest.param("role:auditor", "Auditor", id="a-role-in-other-letters"),
        pytest.param("'blue':%(colour)s", "-", id="a-property"),
    ],
)
def test_who_may_get_an_image_by_another_rule_sees_it(
    policy: str, role: str, a_world: AWorld
):
    world = a_world(f'get_image: "{policy}"\nget_images: "@"\n')

    assert wrong(world, "show", Cell("shared", "accepted", role, "+")) is None
    assert wrong(world, "list", Cell("shared", "accepted", role, "+")) is None
    # Sight is widened only among those that the image is shared with.
    assert wrong(world, "show", Cell("shared", "stranger", role, ".")) is None
    assert wrong(world, "list", Cell("private", "stranger", role, "o")) is None


@pytest.mark.parametrize("rule", sorted(set(ASKS) - {"get_images"}))
def test_a_rule_that_lets_everybody_in_lets_in_a_caller_without_roles(
    rule: str, a_world: AWorld
):
    # Two are asked for after another.
    before = {
        "publicize_image": 'modify_image: "@"',
        "communitize_image": 'modify_image: "@"',
        "download_from_store": 'download_image: "@"',
        "add_location_credentials": 'add_image_location: "@"',
        "get_image_location": 'delete_image_location: "@"',
        "delete_image_location": 'get_image_location: "@"',
        "modify_member": 'get_image: "@"',
        "add_member": 'get_image: "@"',
        "delete_member": 'get_image: "@"',
        "get_members": 'get_image: "@"',
    }
    world = a_world(f'{rule}: "@"\n{before.get(rule, "")}\n')
    name = {"download_image": "download", "modify_image": "update"}.get(
        rule, ASKS[rule][-1]
    )

    assert wrong(world, name, Cell("shared", "owner", "-", "+")) is None


def test_who_is_admin_is_what_the_rule_says(a_world: AWorld):
    world = a_world('context_is_admin: "role:root"\n')

    assert wrong(world, "show", Cell("private", "stranger", "A", ".")) is None
    assert wrong(world, "show", Cell("private", "stranger", "root", "+")) is None
    assert wrong(world, "show", Cell("private", "stranger", "ROOT", "+")) is None


def test_who_is_a_service_is_what_the_rule_says(a_world: AWorld):
    world = a_world('service_api: "role:robot"\n')

    assert (
        wrong(world, "stores in detail", Cell("public", "owner", "robot", "+")) is None
    )
    assert wrong(world, "stores in detail", Cell("public", "owner", "s", "x")) is None
