"""CORS in the pipeline that is shipped, authtoken included (contract images.md §1.5)."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.filters.conftest import KINDS, Serve, serving

UI, OTHER, STRANGE = "https://ui.example", "https://a.example", "https://evil.example"
PARTNER = "https://partner.example:8443"

OPTIONS: dict[str, dict[str, Any]] = {
    "keystone_authtoken": {
        "auth_type": "password",
        # Nobody listens there: what needs Keystone would fail.
        "auth_url": "http://127.0.0.1:9/v3",
        "username": "x",
        "password": "x",
        "project_name": "x",
        "user_domain_id": "default",
        "project_domain_id": "default",
    },
    "cors": {"allowed_origin": f"{UI},{OTHER}"},
    "cors.partner": {
        "allowed_origin": PARTNER,
        "allow_credentials": False,
        "max_age": 60,
        "allow_methods": "GET",
    },
}
ALLOWED = (
    "Content-MD5,X-Image-Meta-Checksum,X-Storage-Token,Accept-Encoding,X-Auth-Token,"
    "X-Identity-Status,X-Roles,X-Service-Catalog,X-User-Id,X-Tenant-Id,"
    "X-OpenStack-Request-ID"
)
EXPOSED = (
    "X-Image-Meta-Checksum,X-Auth-Token,X-Subject-Token,X-Service-Token,"
    "X-OpenStack-Request-ID"
)
PREFIX = "access-control-"


@pytest.fixture(scope="module", params=KINDS)
def url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """One service for all tests: they change nothing in it."""
    with serving(request.param, tmp_path_factory.mktemp("cors")) as serve:
        yield serve(without=(), options=OPTIONS)


def said(answer: httpx.Response) -> dict[str, str]:
    """What an answer tells the browser, by the end of the header's name."""
    return {
        name.removeprefix(PREFIX): value
        for name, value in answer.headers.items()
        if name.startswith(PREFIX)
    }


def preflight(
    url: str, origin: str, method: str = "PATCH", headers: str = ALLOWED
) -> httpx.Response:
    asks = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asks["Access-Control-Request-Headers"] = headers
    # With a token that only Keystone could judge, and it is away.
    asks["X-Auth-Token"] = "x"
    return httpx.options(f"{url}/v2/images", headers=asks)


@pytest.mark.parametrize("origin", [UI, OTHER])
def test_a_401_can_be_read_by_each_allowed_origin(url: str, origin: str) -> None:
    answer = httpx.get(f"{url}/v2/images", headers={"Origin": origin})

    assert answer.status_code == 401
    assert said(answer) == {
        "allow-origin": origin,
        "allow-credentials": "true",
        "expose-headers": EXPOSED,
    }
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", [STRANGE, "null", f"{UI}.evil.example", UI.upper()])
def test_others_are_told_nothing(url: str, origin: str) -> None:
    answer = httpx.get(f"{url}/v2/images", headers={"Origin": origin})
    asked = preflight(url, origin)

    assert answer.status_code == 401
    assert asked.status_code == 200
    assert said(answer) == said(asked) == {}


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "PATCH"])
def test_every_method_may_be_asked_for_before_anybody_says_who_it_is(
    url: str, method: str
) -> None:
    answer = preflight(url, UI, method)

    assert answer.status_code == 200
    assert said(answer) == {
        "allow-origin": UI,
        "allow-credentials": "true",
        "allow-methods": method,
        "allow-headers": ALLOWED,
        "max-age": "3600",
    }
    assert answer.headers["Vary"] == "Origin"
    assert answer.headers["x-openstack-request-id"]


@pytest.mark.parametrize(
    ("method", "headers"),
    [("TRACE", ""), ("HEAD", ""), ("GET", "X-Service-Token"), ("GET", "X-Other")],
)
def test_what_is_not_allowed_is_not_confirmed(
    url: str, method: str, headers: str
) -> None:
    answer = preflight(url, UI, method, headers)

    assert answer.status_code == 200
    assert said(answer) == {}


@pytest.mark.parametrize("path", ["/", "/v2/images", "/v2/nowhere", "/v9"])
def test_any_options_is_200(url: str, path: str) -> None:
    answer = httpx.options(f"{url}{path}", headers={"X-Auth-Token": "x"})

    assert (answer.status_code, answer.content) == (200, b"")


def test_another_origin_can_have_other_options(url: str) -> None:
    refused = httpx.get(f"{url}/v2/images", headers={"Origin": PARTNER})
    may_read = preflight(url, PARTNER, "GET", "X-Auth-Token")
    may_write = preflight(url, PARTNER, "POST", "X-Auth-Token")

    assert said(refused) == {"allow-origin": PARTNER, "expose-headers": EXPOSED}
    assert said(may_read) == {
        "allow-origin": PARTNER,
        "allow-methods": "GET",
        "allow-headers": "X-Auth-Token",
        "max-age": "60",
    }
    assert said(may_write) == {}


def test_without_an_allowed_origin_nobody_is_told_anything(serve: Serve) -> None:
    authtoken = {"keystone_authtoken": OPTIONS["keystone_authtoken"]}
    url = serve(without=(), options=authtoken)

    answer = httpx.get(f"{url}/v2/images", headers={"Origin": UI})
    asked = preflight(url, UI)

    assert (answer.status_code, asked.status_code) == (401, 200)
    assert said(answer) == said(asked) == {}


def test_vary_names_all_that_an_answer_depends_on(serve: Serve) -> None:
    url = serve(
        {"gzip": "cors"},
        paste={"filter:gzip": {"minimum": 1}},
        options={"cors": OPTIONS["cors"]},
    )

    answer = httpx.get(f"{url}/versions", headers={"Origin": UI})

    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Origin, Accept-Encoding"
    assert answer.json()["versions"]
