"""Every route of the table, asked by people who may not."""

from collections.abc import Iterator

import pytest

from imageservice.api.routes import ROUTES, Route
from tests.conftest import daemons
from tests.daemon import Daemon
from tests.hammer import calls

#: A path with nothing behind it but the version's slash; it redirects anybody.
EXEMPT = {"/v2"}
#: Discovery needs a valid token, and no role (contract images.md §4, notes).
OPEN = ("/v2/info/import", "/v2/info/stores", "/v2/info/usage", "/v2/schemas/")

ASKED = [route for route in ROUTES if route.path not in EXEMPT]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemons(tmp_path_factory.mktemp("routes")) as start:
        yield start()


@pytest.fixture(scope="module")
def image(daemon: Daemon) -> str:
    path = calls.create(daemon.url, tags=["t"])
    assert calls.put(daemon.url, path, b"data") == 204
    member = {"member": calls.PROJECTS["partner"]}
    assert calls.call(daemon.url, "POST", f"{path}/members", member).status == 200
    return path


def _title(route: Route) -> str:
    return f"{route.method} {route.path}"


def _ask(daemon: Daemon, image: str, route: Route, who: str) -> int:
    path = route.path.format(
        store="main",
        image_id=calls.name(image),
        tag="t",
        member_id=calls.PROJECTS["partner"],
    )
    body: object = None
    headers = {}
    if path.endswith("/file") and route.method == "PUT":
        body, headers = b"data", {"Content-Type": "application/octet-stream"}
    elif route.method == "PATCH":
        body = [{"op": "replace", "path": "/name", "value": "x"}]
    elif path.endswith("/members") and route.method == "POST":
        body = {"member": "somebody"}
    elif route.method in ("POST", "PUT") and "/members/" in path:
        body = {"status": "accepted"}
    elif path.endswith("/locations") and route.method == "POST":
        path = calls.create(daemon.url) + "/locations"  # others are told it is too late
        body = {"url": "http://example.com/"}
    elif path == "/v2/images" and route.method == "POST":
        body = {}
    return calls.call(daemon.url, route.method, path, body, headers, who=who).status


@pytest.mark.parametrize("route", ASKED, ids=_title)
def test_without_a_token_no_route_answers(
    daemon: Daemon, image: str, route: Route
) -> None:
    assert _ask(daemon, image, route, "anonymous") == 401


@pytest.mark.parametrize("route", ASKED, ids=_title)
def test_without_a_role_no_route_does_anything(
    daemon: Daemon, image: str, route: Route
) -> None:
    status = _ask(daemon, image, route, "roleless")

    if route.path.startswith(OPEN) and not route.path.endswith("/detail"):
        assert status == 200
    else:
        assert status in (403, 404)
