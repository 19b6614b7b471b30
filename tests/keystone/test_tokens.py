"""Whose token opens what; against a real Keystone."""

import httpx

from tests.conftest import StartDaemon
from tests.identity.keystone import Keystone


def test_a_users_token_opens_their_projects_images(
    keystone: Keystone, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(keystone.options())
    token = {"X-Auth-Token": keystone.token("owner")}

    made = httpx.post(f"{daemon.url}/v2/images", json={}, headers=token)

    assert made.status_code == 201, made.text
    assert made.json()["owner"] == keystone.project("owner")
