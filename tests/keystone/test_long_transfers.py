"""A transfer that was let in goes on to its end, whatever becomes of its token."""

import hashlib
import json
import socket
import uuid
from collections.abc import Callable

import httpx
import pytest

from tests.daemon import Daemon
from tests.identity.keystone import DOMAIN, Account, Keystone
from tests.keystone.test_tokens import listing, wait_for

MIB = 1024 * 1024
BLOCK = bytes(range(256)) * 4 * 1024
LIFE_S = 4


def expires(keystone: Keystone) -> tuple[str, Callable[[], object]]:
    return keystone.short_token("owner", LIFE_S), lambda: None


def is_revoked(keystone: Keystone) -> tuple[str, Callable[[], object]]:
    token = keystone.new_token("owner")
    return token, lambda: keystone.revoke(token)


def loses_its_user(keystone: Keystone) -> tuple[str, Callable[[], object]]:
    name = uuid.uuid4().hex
    keystone.settle(name, Account("owner", "member"))
    user = f"/users/{keystone.user(name)}"
    return keystone.token(name), lambda: keystone.admin().delete(user)


def loses_its_project(keystone: Keystone) -> tuple[str, Callable[[], object]]:
    name = uuid.uuid4().hex
    project = keystone.make("projects", name, domain_id=DOMAIN)
    keystone.settle(name, Account(name, "member"))
    disabled = {"project": {"enabled": False}}
    return (
        keystone.token(name),
        lambda: keystone.admin().patch(f"/projects/{project}", json=disabled),
    )


ENDS = [expires, is_revoked, loses_its_user, loses_its_project]


@pytest.mark.parametrize("end", ENDS)
def test_an_upload_ends_well_though_its_token_does_not_last(
    forgetful: Daemon, keystone: Keystone, end
) -> None:
    token, do = end(keystone)
    admin = keystone.token("admin")
    image = create(forgetful, token)
    with socket.create_connection(("127.0.0.1", forgetful.port), 30) as line:
        line.sendall(head("PUT", image, token, "Transfer-Encoding: chunked"))
        line.sendall(chunk(BLOCK))
        wait_for(lambda: show(forgetful, image, admin)["status"] == "saving")

        do()
        wait_for(lambda: listing(forgetful, token).status_code == 401)
        line.sendall(chunk(BLOCK) + chunk(b""))
        answer = line.recv(65536)

    assert answer.startswith(b"HTTP/1.1 204 "), answer
    kept = show(forgetful, image, admin)
    assert kept["status"] == "active"
    assert kept["size"] == 2 * MIB
    assert kept["os_hash_value"] == hashlib.sha512(BLOCK * 2).hexdigest()


@pytest.mark.parametrize("end", [expires, is_revoked])
def test_a_download_ends_well_though_its_token_does_not_last(
    forgetful: Daemon, keystone: Keystone, end
) -> None:
    size = 48 * MIB
    image = create(forgetful, keystone.token("owner"))
    upload(forgetful, image, keystone.token("owner"), BLOCK * 48)
    token, do = end(keystone)
    with socket.create_connection(("127.0.0.1", forgetful.port), 30) as line:
        line.sendall(head("GET", image, token, "Connection: close"))
        answer = line.recv(65536)

        do()
        wait_for(lambda: listing(forgetful, token).status_code == 401)
        received = len(answer.partition(b"\r\n\r\n")[2])
        while data := line.recv(MIB):
            received += len(data)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert received == size


def create(daemon: Daemon, token: str) -> str:
    wish = {"disk_format": "raw", "container_format": "bare"}
    headers = {"X-Auth-Token": token}
    made = httpx.post(f"{daemon.url}/v2/images", json=wish, headers=headers)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def upload(daemon: Daemon, image: str, token: str, data: bytes) -> None:
    done = httpx.put(
        f"{daemon.url}/v2/images/{image}/file",
        content=data,
        headers={"X-Auth-Token": token, "Content-Type": "application/octet-stream"},
        timeout=60,
    )
    assert done.status_code == 204, done.text


def show(daemon: Daemon, image: str, token: str) -> dict[str, object]:
    headers = {"X-Auth-Token": token}
    reply = httpx.get(f"{daemon.url}/v2/images/{image}", headers=headers)
    assert reply.status_code == 200, reply.text
    return dict(json.loads(reply.text))


def head(method: str, image: str, token: str, more: str) -> bytes:
    return (
        f"{method} /v2/images/{image}/file HTTP/1.1\r\nHost: localhost\r\n"
        f"X-Auth-Token: {token}\r\nContent-Type: application/octet-stream\r\n"
        f"{more}\r\n\r\n"
    ).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
