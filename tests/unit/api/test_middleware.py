import re

import pytest

from imageservice.api import middleware
from imageservice.api.answer import Answer
from imageservice.api.app import CONTEXT
from imageservice.api.middleware import (
    REQUEST_ID,
    CrossOriginOnly,
    Development,
    FaultWrap,
    FromHeaders,
    Identified,
    Negotiation,
)
from imageservice.api.settings import Settings
from imageservice.api.versions import Versions
from tests.unit.api.fakes import FAST, an_environ, call

GENERATED = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ID_HEADER = "x-openstack-request-id"


class Inner:
    """Remembers the environ it was called with."""

    def __init__(self):
        self.environ = None

    def __call__(self, environ, start_response):
        self.environ = environ
        return Answer(200, [], b"inner").send(start_response)


# --- request ids -------------------------------------------------------------


def identified(sent=None, **settings):
    inner = Inner()
    headers = {} if sent is None else {"X-OpenStack-Request-ID": sent}
    environ = an_environ("GET", "/", headers=headers)
    return call(Identified(inner, Settings(**settings)), environ), inner


def test_every_answer_gets_an_id():
    reply, inner = identified()

    assert GENERATED.fullmatch(reply.headers[ID_HEADER])
    assert inner.environ[REQUEST_ID] == reply.headers[ID_HEADER]


@pytest.mark.parametrize(("sent", "used"), [("req-x", "req-x"), ("x", "req-x")])
def test_the_callers_id_is_taken_over(sent, used):
    reply, _ = identified(sent)

    assert reply.headers[ID_HEADER] == used


@pytest.mark.parametrize(("longest", "status"), [(64, 431), (65, 200), (0, 200)])
def test_weakness_7_an_id_that_is_too_long_is_431(longest, status):
    reply, inner = identified("x" * 65, max_request_id_length=longest)

    assert reply.status == status
    assert (inner.environ is None) == (status == 431)
    assert ID_HEADER in reply.headers


def test_only_the_outermost_filter_gives_the_id():
    settings = Settings()
    app = Identified(Identified(Inner(), settings), settings)

    call(app, an_environ("GET", "/"))  # asserts that no header comes twice


@pytest.mark.parametrize("path", ["/", "/versions", "/v2/images"])
def test_weakness_7_answers_of_filters_have_an_id_too(path):
    settings = Settings()
    context = FromHeaders(Inner(), settings, lambda ctx: False)
    app = Identified(Negotiation(context, settings), settings)

    reply = call(app, an_environ("GET", path))

    assert reply.status in (300, 200, 401)
    assert ID_HEADER in reply.headers


# --- versions ----------------------------------------------------------------


def negotiate(path, accept="application/json", method="GET", **settings):
    inner = Inner()
    environ = an_environ(method, path, headers={"Accept": accept})
    return call(Negotiation(inner, Settings(**settings)), environ), inner


@pytest.mark.parametrize("version", ["v2", "v2.0", "v2.7", "v2.9", "v2.15", "v2.17"])
def test_every_minor_version_is_an_alias(version):
    _, inner = negotiate(f"/{version}/images/x")

    assert inner.environ["PATH_INFO"] == "/v2/images/x"


@pytest.mark.parametrize("path", ["/v2//images", "//v2/images", "/v2.3///images"])
def test_slashes_round_the_version_count_once(path):
    _, inner = negotiate(path)

    assert inner.environ["PATH_INFO"] == "/v2/images"


@pytest.mark.parametrize("path", ["/v2", "/v2.3"])
def test_a_version_alone_keeps_having_no_slash(path):
    _, inner = negotiate(path)

    assert inner.environ["PATH_INFO"] == "/v2"


@pytest.mark.parametrize("version", ["v2.8", "v2.10", "v2.13"])
def test_versions_of_several_stores_need_several_stores(version):
    assert negotiate(f"/{version}/images")[0].status == 300
    assert negotiate(f"/{version}/images", stores=(FAST,))[0].status == 200


@pytest.mark.parametrize(
    "path", ["/", "", "/v1/images", "/v3", "/foo", "/v2.14/x", "/v"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "BREW"])
def test_anything_else_is_300_whatever_the_method(path, method):
    reply, inner = negotiate(path, method=method)

    assert (reply.status, inner.environ) == (300, None)
    assert reply.json["versions"]


@pytest.mark.parametrize("path", ["/versions", "/versions/", "/versions/x"])
def test_versions_is_200(path):
    assert negotiate(path, method="POST")[0].status == 200


@pytest.mark.parametrize(
    ("accept", "path", "used"),
    [
        ("application/vnd.openstack.images-v2", "/images", "/v2/images"),
        ("application/vnd.openstack.images-v2.5", "/images", "/v2/images"),
        ("application/vnd.openstack.images-v2", "/v2/images", "/v2/v2/images"),
    ],
)
def test_the_version_in_accept_wins_and_leaves_the_path(accept, path, used):
    _, inner = negotiate(path, accept)

    assert inner.environ["PATH_INFO"] == used


def test_an_unknown_version_in_accept_is_300():
    accept = "application/vnd.openstack.images-v7"

    assert negotiate("/v2/images", accept)[0].status == 300


def listed(**settings):
    reply = call(Versions(Settings(**settings)), an_environ("GET", "/"))
    return reply.json["versions"]


def test_the_published_order_of_versions():
    single = "2.15 2.9 2.17 2.7 2.6 2.5 2.4 2.3 2.2 2.1 2.0"
    several = "2.15 2.13 2.12 2.11 2.10 2.9 2.8 2.17 2.7 2.6 2.5 2.4 2.3 2.2 2.1 2.0"

    assert [v["id"] for v in listed()] == [f"v{n}" for n in single.split()]
    assert [v["id"] for v in listed(stores=(FAST,))] == [
        f"v{n}" for n in several.split()
    ]
    assert [v["id"] for v in listed() if v["status"] == "CURRENT"] == ["v2.17"]


def test_version_links_end_with_a_slash_and_use_the_public_endpoint():
    [link] = listed()[0]["links"]
    [public] = listed(public_endpoint="https://cloud.example/image")[0]["links"]

    assert link == {"rel": "self", "href": "http://images:9292/v2/"}
    assert public["href"] == "https://cloud.example/image/v2/"


# --- who is asking -----------------------------------------------------------

CONFIRMED = {
    "X-Identity-Status": "Confirmed",
    "X-User-Id": "u",
    "X-Project-Id": "p",
    "X-Roles": "Member, READER,,",
    "X-Service-Roles": "Service",
}


def ask(headers, *, is_admin=lambda ctx: False, **settings):
    inner = Inner()
    app = FromHeaders(inner, Settings(**settings), is_admin)
    environ = an_environ("GET", "/v2/images", headers=headers)
    environ[REQUEST_ID] = "req-1"
    reply = call(app, environ)
    return reply, inner.environ and inner.environ[CONTEXT]


def test_the_caller_is_made_of_the_identity_headers():
    _, ctx = ask(CONFIRMED)

    assert (ctx.user_id, ctx.project_id, ctx.request_id) == ("u", "p", "req-1")
    assert ctx.roles == ["member", "reader"]
    assert ctx.service_roles == ["service"]
    assert not ctx.is_admin
    assert not ctx.read_only


def test_the_old_name_of_the_project_header_works():
    headers = {"X-Identity-Status": "Confirmed", "X-Tenant-Id": "t"}

    assert ask(headers)[1].project_id == "t"


def test_admin_is_who_passes_the_rule():
    _, ctx = ask(CONFIRMED, is_admin=lambda ctx: "reader" in ctx.credentials["roles"])

    assert ctx.is_admin is True


@pytest.mark.parametrize("status", [None, "Invalid", "confirmed", ""])
def test_without_a_confirmed_identity_it_is_401(status):
    headers = {"X-Roles": "admin", "X-Project-Id": "p"}
    if status is not None:
        headers["X-Identity-Status"] = status

    reply, ctx = ask(headers, is_admin=lambda ctx: True)

    assert (reply.status, ctx) == (401, None)
    assert reply.json["code"] == "401 Unauthorized"


def test_an_anonymous_caller_is_let_in_read_only_if_that_is_allowed():
    headers = {"X-Roles": "admin", "X-Project-Id": "p"}

    _, ctx = ask(headers, is_admin=lambda ctx: True, allow_anonymous_access=True)

    assert ctx.read_only
    assert (ctx.project_id, ctx.roles, ctx.is_admin) == (None, [], False)


@pytest.mark.parametrize("name", ["X-Auth-Token", "X-Storage-Token", "X-Service-Token"])
def test_who_sends_a_token_that_is_not_good_is_not_taken_for_anonymous(name):
    reply, ctx = ask({name: "old"}, allow_anonymous_access=True)

    assert (reply.status, ctx) == (401, None)


def test_a_service_token_that_is_not_good_spoils_the_users():
    reply, ctx = ask({**CONFIRMED, "X-Service-Identity-Status": "Invalid"})

    assert (reply.status, ctx) == (401, None)


def test_in_development_everybody_is_the_one_admin():
    inner = Inner()

    call(Development(inner), an_environ("GET", "/", headers={"X-Roles": "reader"}))

    ctx = inner.environ[CONTEXT]
    assert ctx.is_admin
    assert ctx.project_id == Development.PROJECT


# --- the rest ----------------------------------------------------------------


def test_a_filter_that_fails_is_a_500_without_detail(caplog):
    def broken(environ, start_response):
        raise RuntimeError("secret")

    reply = call(FaultWrap(broken), an_environ("GET", "/"))

    assert reply.status == 500
    assert b"secret" not in reply.body
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("method", "headers", "asked"),
    [
        ("GET", {}, "app"),
        ("GET", {"Origin": "https://x"}, "cors"),
        ("OPTIONS", {}, "preflight"),
        ("OPTIONS", {"Origin": "https://x"}, "preflight"),
    ],
)
def test_the_cors_filter_sees_only_what_concerns_it(method, headers, asked):
    parts = {"app": Inner(), "cors": Inner(), "preflight": Inner()}

    call(CrossOriginOnly(*parts.values()), an_environ(method, "/", headers=headers))

    assert [name for name, part in parts.items() if part.environ] == [asked]


def test_the_key_of_request_ids_is_that_of_oslo_middleware():
    from oslo_middleware import request_id

    assert middleware.REQUEST_ID == request_id.ENV_REQUEST_ID
