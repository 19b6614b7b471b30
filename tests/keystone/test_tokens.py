"""Whose token opens what; against a real Keystone."""

import time
import uuid
from collections.abc import Callable

import httpx
import pytest

from tests.conftest import StartDaemon
from tests.daemon import Daemon
from tests.identity.keystone import DOMAIN, Account, Keystone
from tests.keystone import wire

PATIENCE_S = 20


def listing(daemon: Daemon, token: str, **headers: str) -> httpx.Response:
    sent = {"X-Auth-Token": token, **headers}
    return httpx.get(f"{daemon.url}/v2/images", headers=sent)


def creation(daemon: Daemon, token: str) -> httpx.Response:
    sent = {"X-Auth-Token": token}
    return httpx.post(f"{daemon.url}/v2/images", json={}, headers=sent)


@pytest.mark.parametrize("name", ["owner", "manager", "admin"])
def test_a_users_token_creates_images_of_their_project(
    daemon: Daemon, keystone: Keystone, name: str
) -> None:
    made = creation(daemon, keystone.token(name))

    assert made.status_code == 201, made.text
    project = "admin" if name == "admin" else "owner"
    assert made.json()["owner"] == keystone.project(project)


@pytest.mark.parametrize(
    ("name", "lists", "creates"),
    [("reader", 200, 403), ("visitor", 403, 403), ("service", 403, 403)],
)
def test_a_role_opens_what_it_implies_and_no_more(
    daemon: Daemon, keystone: Keystone, name: str, lists: int, creates: int
) -> None:
    token = keystone.token(name)

    assert listing(daemon, token).status_code == lists
    assert creation(daemon, token).status_code == creates


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({"unscoped": True}, id="unscoped"),
        pytest.param({"domain_id": DOMAIN}, id="domain"),
        pytest.param({"system_scope": "all"}, id="system"),
    ],
)
def test_a_token_without_a_project_is_refused_even_an_administrators(
    daemon: Daemon, keystone: Keystone, scope: dict[str, object]
) -> None:
    token = keystone.new_token("admin", **scope)

    assert listing(daemon, token).status_code == 403
    assert creation(daemon, token).status_code == 403


def test_an_application_credential_is_its_user_in_its_project(
    daemon: Daemon, keystone: Keystone
) -> None:
    made = creation(daemon, keystone.credential_token("owner"))

    assert made.status_code == 201
    assert made.json()["owner"] == keystone.project("owner")


def test_an_application_credential_has_the_roles_it_was_made_with(
    daemon: Daemon, keystone: Keystone
) -> None:
    token = keystone.credential_token("owner", roles=[{"name": "reader"}])

    assert listing(daemon, token).status_code == 200
    assert creation(daemon, token).status_code == 403


@pytest.mark.parametrize("service", [None, "nonsense", "user", "expired"])
def test_access_rules_of_a_credential_hold_whatever_stands_beside_it(
    daemon: Daemon, keystone: Keystone, service: str | None
) -> None:
    rule = {"service": "image", "method": "GET", "path": "/v2/images"}
    token = keystone.credential_token("owner", access_rules=[rule])
    of_service = {
        None: {},
        "nonsense": {"X-Service-Token": "nonsense"},
        "user": {"X-Service-Token": keystone.token("admin")},
        "expired": {"X-Service-Token": keystone.token("admin")[:-4] + "AAAA"},
    }[service]

    made = httpx.post(
        f"{daemon.url}/v2/images",
        json={},
        headers={"X-Auth-Token": token, **of_service},
    )

    assert made.status_code == 401
    if service is None:
        assert listing(daemon, token).status_code == 200


@pytest.mark.parametrize("included", [False, True])
def test_access_rules_hold_with_and_without_a_catalog(
    keystone: Keystone, start_daemon: StartDaemon, included: bool
) -> None:
    options = {"keystone_authtoken": {"include_service_catalog": included}}
    daemon = start_daemon(keystone.options(options))
    rule = {"service": "image", "method": "GET", "path": "/v2/images"}
    token = keystone.credential_token("owner", access_rules=[rule])
    of_another = {**rule, "service": "compute"}
    another = keystone.credential_token("owner", access_rules=[of_another])

    assert listing(daemon, token).status_code == 200
    assert creation(daemon, token).status_code == 401
    assert listing(daemon, another).status_code == 401


def test_a_token_ends_with_its_time_though_it_is_remembered(
    daemon: Daemon, keystone: Keystone
) -> None:
    token = keystone.short_token("owner", 3)
    assert listing(daemon, token).status_code == 200

    wait_for(lambda: listing(daemon, token).status_code == 401)


def test_a_revoked_token_is_refused(forgetful: Daemon, keystone: Keystone) -> None:
    token = keystone.new_token("owner")
    assert listing(forgetful, token).status_code == 200

    keystone.revoke(token)

    assert listing(forgetful, token).status_code == 401


@pytest.mark.parametrize("what", ["user", "project"])
def test_a_token_ends_when_its_user_or_project_is_disabled(
    forgetful: Daemon, keystone: Keystone, what: str
) -> None:
    name = uuid.uuid4().hex
    identity = {"project": keystone.make("projects", name, domain_id=DOMAIN)}
    keystone.settle(name, Account(name, "member"))
    identity["user"] = keystone.user(name)
    token = keystone.token(name)
    assert listing(forgetful, token).status_code == 200

    keystone.admin().patch(
        f"/{what}s/{identity[what]}", json={what: {"enabled": False}}
    )

    assert listing(forgetful, token).status_code == 401


MALFORMED = {
    "empty": b"",
    "spaces": b"   ",
    "a word": b"admin",
    "two words": b"token token",
    "high bytes": b"\xff\xfe\xfd",
    "a no-break space": b"\xa0",
    "utf-8": "täken".encode(),
    "quotes": b"' OR 1=1 --",
    "a path": b"../../v3/users",
    "percent": b"%00%0d%0aX-Roles:%20admin",
    "null": b"null",
    "nearly a token": b"gAAAAABnearly",
    "300 letters": b"a" * 300,
    "4000 letters": b"a" * 4000,
    "8000 letters": b"a" * 8000,
    "8001 letters": b"a" * 8001,
    "15000 letters": b"a" * 15000,
}


@pytest.mark.parametrize("header", [b"X-Auth-Token", b"X-Storage-Token"])
@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("anonymous", [False, True], ids=["strict", "open to all"])
def test_a_malformed_token_is_401_also_where_none_is_needed(
    daemon: Daemon, open_to_all: Daemon, value: bytes, header: bytes, anonymous: bool
) -> None:
    asked = open_to_all if anonymous else daemon

    reply = wire.send(asked, header + b": " + value)

    assert reply.status == 401, reply
    assert reply.headers["x-openstack-request-id"]
    assert reply.headers["www-authenticate"].startswith("Keystone uri=")


@pytest.mark.parametrize(
    "value",
    [b"a\x00b", b"a\rb", b"\x7f\x01", b"a" * 17000],
    ids=["nul", "cr", "x", "long"],
)
def test_what_cannot_be_a_header_is_refused_before_anybody_is_asked(
    daemon: Daemon, keystone: Keystone, value: bytes
) -> None:
    before = len(keystone.requests())

    reply = wire.send(daemon, b"X-Auth-Token: " + value)

    assert reply.status in (400, 431)
    assert reply.headers["x-openstack-request-id"].startswith("req-")
    assert len(keystone.requests()) == before


def test_a_token_is_looked_up_once(daemon: Daemon, keystone: Keystone) -> None:
    token = keystone.new_token("owner")
    before = checks(keystone)

    for _ in range(5):
        assert listing(daemon, token).status_code == 200

    assert checks(keystone) == before + 1


def test_who_sends_no_token_is_anonymous_only_where_that_is_allowed(
    daemon: Daemon, open_to_all: Daemon
) -> None:
    image = f"/v2/images/{uuid.uuid4()}"

    assert httpx.get(f"{daemon.url}/v2/images").status_code == 401
    assert httpx.get(f"{open_to_all.url}/v2/images").status_code == 403
    assert httpx.get(f"{open_to_all.url}{image}").status_code == 404
    refused = httpx.post(f"{open_to_all.url}/v2/images", json={})
    assert refused.status_code == 403


@pytest.mark.parametrize(
    "path", ["/", "/versions", "/healthcheck", "/v2/images", "/v9"]
)
@pytest.mark.parametrize("sent", [None, "req-of-mine"])
def test_every_answer_tells_its_request_id(
    daemon: Daemon, path: str, sent: str | None
) -> None:
    headers = {"X-OpenStack-Request-ID": sent} if sent else {}

    reply = httpx.get(daemon.url + path, headers=headers)

    told = reply.headers.get_list("x-openstack-request-id")
    assert len(told) == 1
    assert told[0] == sent if sent else told[0].startswith("req-")


def test_no_token_is_in_the_log(
    daemon: Daemon, forgetful: Daemon, keystone: Keystone
) -> None:
    tokens = [keystone.token(name) for name in ("owner", "reader", "admin", "service")]
    revoked = keystone.new_token("owner")
    keystone.revoke(revoked)
    for asked in (daemon, forgetful):
        for token in (*tokens, revoked):
            listing(asked, token)
            listing(asked, tokens[0], **{"X-Service-Token": token})

    for asked in (daemon, forgetful):
        log = asked.log.read_text(errors="replace")
        assert "DEBUG keystone" in log
        assert [token for token in (*tokens, revoked) if token in log] == []
        assert keystone.password("imageservice") not in log


def checks(keystone: Keystone) -> int:
    return keystone.requests().count("GET /v3/auth/tokens")


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
