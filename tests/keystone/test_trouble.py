"""Keystone is down, slow, or answers rubbish: 503, in time, and nobody gets in."""

import json
import time

import httpx
import pytest

from tests.conftest import StartDaemon
from tests.daemon import Daemon, free_port
from tests.identity.keystone import Keystone
from tests.keystone.between import Between, Drip, Trouble, answer
from tests.keystone.conftest import TALKATIVE

#: Seconds: of a daemon's patience, and of what may be lost beside it.
TIMEOUT_S = 1
SLACK_S = 4

#: What can be read as a token: the shape is right, but for what a case takes away.
WHOLE = {
    "methods": ["password"],
    "user": {"id": "u", "name": "u", "domain": {"id": "default", "name": "Default"}},
    "project": {"id": "p", "name": "p", "domain": {"id": "default", "name": "D"}},
    "roles": [{"id": "r", "name": "admin"}],
    "expires_at": "2099-01-01T00:00:00.000000Z",
    "issued_at": "2020-01-01T00:00:00.000000Z",
}


def as_json(document: object) -> bytes:
    return answer("200 OK", json.dumps(document).encode())


def without(name: str, **instead: object) -> bytes:
    token = {key: value for key, value in WHOLE.items() if key != name}
    return as_json({"token": {**token, **instead}})


LOOP = answer("302 Found", b"", more="Location: /v3/auth/tokens\r\n")
AWAY = answer("302 Found", b"", more="Location: http://127.0.0.1:9/v3/auth/tokens\r\n")
PAGE = b"<html><body>It works!</body></html>"

RUBBISH: dict[str, Trouble] = {
    "silence": None,
    "a head that drips": Drip(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 200, 0.2),
    "a body that drips": Drip(answer("200 OK", b" " * 200), 0.2),
    "a closed connection": b"",
    "half of a head": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "no http": b"\x16\x03\x01\x00garbage\r\n\r\n",
    "a short body": answer("200 OK", b'{"token": {}}')[:-5],
    "a web page": answer("200 OK", PAGE, "text/html"),
    "cut json": answer("200 OK", b'{"token": {"user": '),
    "bytes that are no text": answer("200 OK", b'{"token": "\xff\xfe"}'),
    "nothing": answer("200 OK", b""),
    "500": answer("500 Internal Server Error", PAGE, "text/html"),
    "502": answer("502 Bad Gateway", PAGE, "text/html"),
    "503": answer("503 Service Unavailable", b"{}"),
    "429": answer("429 Too Many Requests", b"{}"),
    "401": answer("401 Unauthorized", b'{"error": {"code": 401}}'),
    "403": answer("403 Forbidden", b'{"error": {"code": 403}}'),
    "a redirect to itself": LOOP,
    "a redirect to a closed port": AWAY,
    "a redirect to nowhere": answer("302 Found", b""),
    "a deep well": answer("200 OK", b"[" * 200_000),
    "a list": as_json([]),
    "a number": as_json(5),
    "null": as_json(None),
    "no token": as_json({}),
    "a token of null": as_json({"token": None}),
    "a token of text": as_json({"token": "admin"}),
    "a token of a list": as_json({"token": ["admin"]}),
}

#: A token, nearly: what only the answer to the question about it can be.
MALFORMED: dict[str, bytes] = {
    "no user": without("user"),
    "a user of text": without("user", user="admin"),
    "a user without id": without("user", user={"name": "u", "domain": {"id": "d"}}),
    "a user whose id is a number": without(
        "user", user={"id": 1, "name": "u", "domain": {"id": "d"}}
    ),
    "no end": without("expires_at"),
    "an end that is no time": without("expires_at", expires_at="soon"),
    "an end of null": without("expires_at", expires_at=None),
    "roles without names": without("roles", roles=[{"id": "admin"}]),
    "roles of text": without("roles", roles="admin"),
    "a role whose name is a number": without("roles", roles=[{"name": 1}]),
    "a project of text": without("project", project="admin"),
    "a project without id": without("project", project={"name": "p"}),
    "a project whose id is a list": without("project", project={"id": ["p"]}),
    "a system of text": without("project", system="all"),
    "a catalog of text": without("", catalog="image"),
    "a catalog of numbers": without("", catalog=[1]),
}


@pytest.fixture(scope="module")
def newborn(between: Between, keystone: Keystone, start: StartDaemon) -> Daemon:
    """A daemon that has no token of its own yet."""
    return start(impatient(between, keystone))


@pytest.fixture(scope="module")
def settled(between: Between, keystone: Keystone, start: StartDaemon) -> Daemon:
    """One that has one, remembers no others, and lets in who sends none."""
    daemon = start(impatient(between, keystone, allow_anonymous_access=True))
    assert ask(daemon, keystone.token("owner")).status_code == 200
    return daemon


def impatient(between: Between, keystone: Keystone, **options: object):
    return keystone.options(
        {
            "DEFAULT": {**TALKATIVE, **options},
            "keystone_authtoken": {
                "auth_url": between.url,
                "http_connect_timeout": TIMEOUT_S,
                "http_request_max_retries": 0,
                "token_cache_time": -1,
            },
        }
    )


def ask(daemon: Daemon, token: str, **headers: str) -> httpx.Response:
    sent = {"X-Auth-Token": token, "Accept": "application/json", **headers}
    return httpx.get(f"{daemon.url}/v2/images", headers=sent, timeout=30)


def assert_unavailable(reply: httpx.Response) -> None:
    assert reply.status_code == 503, reply.text
    assert reply.json()["code"] == "503 Service Unavailable"
    assert reply.headers["x-openstack-request-id"].startswith("req-")
    assert "127.0.0.1" not in reply.text


@pytest.mark.parametrize("trouble", RUBBISH.values(), ids=RUBBISH.keys())
def test_a_daemon_that_was_just_started_answers_503_in_time(
    newborn: Daemon, between: Between, keystone: Keystone, trouble: Trouble
) -> None:
    began = time.monotonic()

    with between.trouble(trouble, checks_only=False):
        reply = ask(newborn, keystone.token("admin"))

    # It looks for the versions of the API, and asks for a token of its own.
    assert time.monotonic() - began < 2 * TIMEOUT_S + SLACK_S
    assert_unavailable(reply)


@pytest.mark.parametrize(
    "trouble",
    [*RUBBISH.values(), *MALFORMED.values()],
    ids=[*RUBBISH.keys(), *MALFORMED.keys()],
)
def test_a_token_that_cannot_be_checked_is_answered_503_in_time(
    settled: Daemon, between: Between, keystone: Keystone, trouble: Trouble
) -> None:
    began = time.monotonic()

    with between.trouble(trouble, checks_only=True):
        reply = ask(settled, keystone.token("admin"))

    assert time.monotonic() - began < TIMEOUT_S + SLACK_S
    assert_unavailable(reply)


def test_a_daemon_needs_nothing_but_keystone_to_come_back(
    newborn: Daemon, settled: Daemon, keystone: Keystone
) -> None:
    for daemon in (newborn, settled):
        assert ask(daemon, keystone.token("owner")).status_code == 200


def test_a_service_token_that_cannot_be_checked_is_answered_503(
    settled: Daemon, between: Between, keystone: Keystone
) -> None:
    with between.trouble(answer("500 Oops", b""), checks_only=True):
        reply = ask(settled, "", **{"X-Service-Token": keystone.token("service")})

    assert_unavailable(reply)


def test_who_needs_no_token_waits_for_nobody(
    settled: Daemon, between: Between, http: httpx.Client
) -> None:
    with between.trouble(None, checks_only=False):
        statuses = [
            http.get(settled.url + path, timeout=2).status_code
            for path in ("/", "/versions", "/healthcheck")
        ]

    assert statuses == [300, 200, 200]


def test_a_known_token_works_while_keystone_is_silent(
    between: Between, keystone: Keystone, start_daemon: StartDaemon
) -> None:
    options = {"keystone_authtoken": {"auth_url": between.url}}
    daemon = start_daemon(keystone.options(options))
    assert ask(daemon, keystone.token("owner")).status_code == 200

    with between.trouble(None, checks_only=False):
        reply = ask(daemon, keystone.token("owner"))

    assert reply.status_code == 200


@pytest.mark.slow
def test_our_defaults_bound_how_long_a_silent_keystone_is_waited_for(
    between: Between, keystone: Keystone, start_daemon: StartDaemon
) -> None:
    options = {"keystone_authtoken": {"auth_url": between.url}}
    daemon = start_daemon(keystone.options(options))

    with between.trouble(None, checks_only=False):
        began = time.monotonic()
        reply = ask(daemon, keystone.token("owner"))

    assert_unavailable(reply)
    assert time.monotonic() - began < 15


def test_a_closed_port_is_answered_503_even_if_nothing_says_where_keystone_is(
    keystone: Keystone, start_daemon: StartDaemon
) -> None:
    options = keystone.options()
    nowhere = f"http://127.0.0.1:{free_port()}/v3"
    section = {**options["keystone_authtoken"], "auth_url": nowhere}
    del section["www_authenticate_uri"]
    daemon = start_daemon({**options, "keystone_authtoken": section})

    began = time.monotonic()
    assert_unavailable(ask(daemon, keystone.token("owner")))
    refused = httpx.get(f"{daemon.url}/v2/images", timeout=30)

    assert time.monotonic() - began < 5
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == f'Keystone uri="{nowhere}"'


def test_no_token_is_in_the_log_of_all_this(
    newborn: Daemon, settled: Daemon, keystone: Keystone
) -> None:
    for daemon in (newborn, settled):
        log = daemon.log.read_text(errors="replace")

        assert "DEBUG" in log
        for name in ("owner", "admin", "service"):
            assert keystone.token(name) not in log
        assert keystone.password("imageservice") not in log
