"""Identity headers that a client sends change nothing, however they are written."""

import json
import re
import socket
from collections.abc import Callable

import pytest

from tests.daemon import Daemon
from tests.identity.keystone import Keystone
from tests.keystone import wire

#: What the pipeline itself would write for an administrator.
IDENTITY = {
    "X-Identity-Status": "Confirmed",
    "X-Service-Identity-Status": "Confirmed",
    "X-Roles": "admin",
    "X-Role": "admin",
    "X-Project-Id": "f" * 32,
    "X-Project-Name": "admin",
    "X-Project-Domain-Id": "default",
    "X-Project-Domain-Name": "Default",
    "X-Tenant-Id": "f" * 32,
    "X-Tenant-Name": "admin",
    "X-Tenant": "admin",
    "X-User-Id": "e" * 32,
    "X-User-Name": "admin",
    "X-User": "admin",
    "X-User-Domain-Id": "default",
    "X-Domain-Id": "default",
    "X-Domain-Name": "Default",
    "X-Is-Admin-Project": "True",
    "OpenStack-System-Scope": "all",
    "X-Service-Roles": "service,admin",
    "X-Service-User-Id": "e" * 32,
    "X-Service-Project-Id": "f" * 32,
    "X-Service-Catalog": "[]",
    "X-Is-Admin": "True",
    "X-Auth-Project-Id": "f" * 32,
    "X-Subject-Token": "anything",
    "X-Authenticated-Userid": "admin",
    "Remote-User": "admin",
    "Auth-Type": "negotiate",
    "Keystone.token_info": "{}",
}


Write = Callable[[str, str], str]


def lines(write: Write) -> list[bytes]:
    return [write(name, value).encode("latin-1") for name, value in IDENTITY.items()]


SPELLINGS = {
    "as they are": lambda name, value: f"{name}: {value}",
    "lower case": lambda name, value: f"{name.lower()}: {value}",
    "upper case": lambda name, value: f"{name.upper()}: {value}",
    "odd case": lambda name, value: f"{name.swapcase()}:{value}",
    "underscores": lambda name, value: f"{name.replace('-', '_')}: {value}",
    "one underscore": lambda name, value: f"{name.replace('-', '_', 1)}: {value}",
    "as the environment has them": lambda name, value: (
        f"HTTP_{name.upper().replace('-', '_')}: {value}"
    ),
    "the same with dashes": lambda name, value: f"HTTP-{name}: {value}",
    "no space and tabs": lambda name, value: f"{name}:\t{value}\t ",
    "several values": lambda name, value: f"{name}: member,{value}",
}

#: No head of a request: which of the two would count?
REFUSED = {
    "doubled": lambda name, value: f"{name}: {value}\r\n{name}: {value}",
    "doubled in two cases": lambda name, value: f"{name}: x\r\n{name.lower()}: {value}",
    "folded": lambda name, value: f"{name}: member\r\n {value}",
    "a space before the colon": lambda name, value: f"{name} : {value}",
    "a space in front": lambda name, value: f" {name}: {value}",
    "a line feed alone": lambda name, value: f"X-A: b\n{name}: {value}",
    "a carriage return alone": lambda name, value: f"X-A: b\r{name}: {value}",
    "a nul": lambda name, value: f"{name}\0: {value}",
}


@pytest.mark.parametrize("write", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_without_a_token_they_make_nobody_of_a_caller(
    daemon: Daemon, write: Write
) -> None:
    assert wire.send(daemon, *lines(write)).status == 401


@pytest.mark.parametrize("write", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_they_do_not_rescue_a_bad_token(daemon: Daemon, write: Write) -> None:
    assert wire.send(daemon, wire.token("bad"), *lines(write)).status == 401


@pytest.mark.parametrize("write", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_anonymous_callers_stay_anonymous(open_to_all: Daemon, write: Write) -> None:
    assert wire.send(open_to_all, *lines(write)).status == 403
    made = wire.send(open_to_all, *lines(write), method=b"POST", body=b"{}")
    assert made.status == 403


@pytest.mark.parametrize("first", [False, True], ids=["token first", "token last"])
@pytest.mark.parametrize("write", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_valid_token_is_worth_what_it_is_worth_without_them(
    daemon: Daemon, keystone: Keystone, write: Write, first: bool
) -> None:
    token = wire.token(keystone.token("owner"))
    fields = [token, *lines(write)] if first else [*lines(write), token]

    made = wire.send(daemon, *fields, method=b"POST", body=b"{}")

    assert made.status == 201, made
    assert json.loads(made.body)["owner"] == keystone.project("owner")
    # Only an administrator may give an image to somebody else.
    gift = json.dumps({"owner": "f" * 32}).encode()
    assert wire.send(daemon, *fields, method=b"POST", body=gift).status == 403


@pytest.mark.parametrize("name", ["reader", "visitor"])
def test_nobody_gains_a_role_by_them(
    daemon: Daemon, keystone: Keystone, name: str
) -> None:
    fields = lines(SPELLINGS["as they are"])
    token = wire.token(keystone.token(name))

    made = wire.send(daemon, token, *fields, method=b"POST", body=b"{}")

    assert made.status == 403


@pytest.mark.parametrize("scope", [{"unscoped": True}, {"system_scope": "all"}])
def test_nobody_gains_a_project_by_them(
    daemon: Daemon, keystone: Keystone, scope: dict[str, object]
) -> None:
    token = wire.token(keystone.new_token("admin", **scope))

    assert wire.send(daemon, token, *lines(SPELLINGS["as they are"])).status == 403


@pytest.mark.parametrize("write", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("name", ["X-Roles", "X-Project-Id", "X-Identity-Status"])
def test_what_can_be_read_in_two_ways_is_refused(
    daemon: Daemon, keystone: Keystone, write: Write, name: str
) -> None:
    field = write(name, IDENTITY[name]).encode("latin-1")
    token = wire.token(keystone.token("owner"))

    assert wire.send(daemon, token, field).status == 400
    assert wire.send(daemon, field, token).status == 400


def test_two_tokens_are_refused(daemon: Daemon, keystone: Keystone) -> None:
    good = wire.token(keystone.token("owner"))

    assert wire.send(daemon, good, wire.token("bad")).status == 400
    assert wire.send(daemon, good, good).status == 400


def test_headers_behind_a_body_and_of_the_request_before_make_nobody(
    daemon: Daemon, keystone: Keystone
) -> None:
    forged = b"\r\n".join(lines(SPELLINGS["as they are"]))
    first = (
        b"POST /v2/images HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Trailer: X-Roles\r\nTransfer-Encoding: chunked\r\n"
        + wire.token(keystone.token("reader"))
        + b"\r\n\r\n2\r\n{}\r\n0\r\n"
        + forged
        + b"\r\n\r\n"
    )
    listed = b"Connection: close, X-Auth-Token, X-Identity-Status\r\n"
    second = b"GET /v2/images HTTP/1.1\r\nHost: a\r\n" + listed + forged + b"\r\n\r\n"

    with socket.create_connection(("127.0.0.1", daemon.port), 20) as line:
        line.sendall(first + second)
        answers = b""
        while data := line.recv(65536):
            answers += data

    statuses = re.findall(rb"HTTP/1\.1 (\d+)", answers)
    assert statuses == [b"403", b"401"]
