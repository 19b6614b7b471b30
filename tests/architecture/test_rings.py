"""The rings agree with the operations: none is left out, none invented."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from imageservice import describe
from imageservice.api.request import Stores
from imageservice.api.routes import ROUTES
from imageservice.layers import location, notifier, properties, quota
from imageservice.layers import locations as registering
from imageservice.layers.auth import NEEDS
from imageservice.policy import reserved, rules
from imageservice.services import images, interfaces, locations, members, stores, usage

PROTOCOLS: dict[str, Any] = {
    "images": interfaces.Images,
    "locations": interfaces.Locations,
    "members": interfaces.Members,
    "stores": Stores,
    "usage": interfaces.Usage,
}

#: Operations for the rings within, and for tasks; no request reaches them.
INNER = {
    ("images", name)
    for name in (
        "claim", "grow", "attach", "release", "doom", "spare", "bury", "holds", "confirm", "abandon",
        "claim_copy", "claim_anew", "attach_copy", "doom_copy", "spare_copy", "bury_copy",
        "relocate",
        "copy", "replace_copy", "drop_copy",
    )
}  # fmt: skip

#: What is asked before the operation of a route: the one that loads targets, by app.py,
#: and whether there is room for an upload, by what reads its headers.
BEFORE = {("images", "find"), ("usage", "room")}

BY_NAME = [
    pytest.param(properties.Shown, "images", id="shown"),
    pytest.param(properties.Guarded, "images", id="guarded"),
    pytest.param(quota.Images, "images", id="quota"),
    pytest.param(registering.Images, "images", id="registering"),
    pytest.param(location.Images, "images", id="location"),
    pytest.param(images.Images, "images", id="images"),
    pytest.param(registering.Queued, "locations", id="queued"),
    pytest.param(registering.Locations, "locations", id="registering locations"),
    pytest.param(locations.Locations, "locations", id="locations"),
    pytest.param(members.Members, "members", id="members"),
    pytest.param(stores.Stores, "stores", id="stores"),
    pytest.param(usage.Usage, "usage", id="usage"),
]

#: From the quota ring on, it is known what the owner of an image may have.
KNOWING = (quota.Images, registering.Images, location.Images, images.Images)


def operations() -> set[tuple[str, str]]:
    return {
        (resource, name)
        for resource, protocol in PROTOCOLS.items()
        for name, value in vars(protocol).items()
        if not name.startswith("_") and callable(value)
    }


OUTER = operations() - INNER


def test_every_operation_says_what_it_needs_of_the_caller():
    assert set(NEEDS) == OUTER


def test_every_operation_says_which_rules_it_needs():
    assert set(rules.RULES) == OUTER
    assert set(rules.ROWS) <= OUTER


def test_the_inner_operations_exist():
    assert operations() >= INNER


def test_every_operation_can_be_reached_and_every_route_leads_to_one():
    routed = {tuple(r.operation.split(".")) for r in ROUTES if r.operation is not None}

    assert routed | BEFORE == OUTER


def test_events_belong_to_operations():
    assert set(notifier.EVENTS) <= OUTER


@pytest.mark.parametrize(("ring", "resource"), BY_NAME)
def test_methods_of_rings_have_the_signatures_of_the_operations(ring, resource):
    protocol = PROTOCOLS[resource]

    for name, method in vars(ring).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        expected = list(inspect.signature(getattr(protocol, name)).parameters)
        if ring not in KNOWING:
            expected = [name for name in expected if name != "allowance"]
        assert list(inspect.signature(method).parameters) == expected, name


@pytest.mark.parametrize("row", sorted(notifier.EVENTS), ids=".".join)
def test_functions_of_events_have_the_signatures_of_the_operations(row):
    resource, operation = row
    expected = list(
        inspect.signature(getattr(PROTOCOLS[resource], operation)).parameters
    )

    found = list(inspect.signature(notifier.EVENTS[row].around).parameters)

    # Further out than KNOWING.
    assert found == ["call", *(name for name in expected[1:] if name != "allowance")]


def test_every_rule_is_asked_for_or_is_the_base_of_another():
    class Anything:
        def __getattr__(self, name: str) -> Any:
            return "public"

    change = [
        rules.Change("replace", "visibility", wanted)
        for wanted in ("public", "community")
    ]
    calls: dict[tuple[str, str], tuple[Any, ...]] = {
        ("images", "update"): (Anything(), change),
        ("images", "download"): (Anything(), 0, None, ["store"]),
        ("locations", "add"): (Anything(), Anything()),
    }
    for row, needed in rules.RULES.items():
        assert set(needed(*calls.get(row, (Anything(),)))) <= set(needed.names), row
    asked = {name for needed in rules.RULES.values() for name in needed.names}
    bases = {"default", "context_is_admin", "service_api"}

    idle = {rule.name for rule in reserved.RESERVED}
    assert not asked & idle, "a rule that is asked for is no longer reserved"
    assert asked | bases | idle == rules.NAMES


def test_the_page_of_operations_is_fresh():
    page = Path(__file__).parents[2] / "docs" / "operations.md"

    assert page.read_text() == describe.operations(), (
        "run: imageservice-manage operations > docs/operations.md"
    )
