"""Service tokens: who stands beside the user, and what that is worth."""

from pathlib import Path

import httpx
import pytest

from imageservice import config
from imageservice.api.app import CONTEXT
from imageservice.api.middleware import FromHeaders
from imageservice.api.settings import Settings
from imageservice.context import Context
from imageservice.identity import authtoken
from tests.daemon import Daemon, configure
from tests.identity.keystone import Keystone
from tests.keystone.test_tokens import listing, wait_for
from tests.unit.api.fakes import an_environ, call


@pytest.mark.parametrize("name", ["service", "imageservice"])
def test_a_services_token_beside_a_users_changes_nothing_for_the_user(
    daemon: Daemon, keystone: Keystone, name: str
) -> None:
    beside = {"X-Service-Token": keystone.token(name)}

    assert listing(daemon, keystone.token("reader"), **beside).status_code == 200
    # The roles that count are those of the user.
    made = httpx.post(
        f"{daemon.url}/v2/images",
        json={},
        headers={"X-Auth-Token": keystone.token("reader"), **beside},
    )
    assert made.status_code == 403


@pytest.mark.parametrize("beside", ["nonsense", "owner", "admin"])
def test_a_service_token_without_the_services_role_is_refused(
    daemon: Daemon, keystone: Keystone, beside: str
) -> None:
    token = beside if beside == "nonsense" else keystone.token(beside)

    reply = listing(daemon, keystone.token("owner"), **{"X-Service-Token": token})

    assert reply.status_code == 401


def test_a_service_token_alone_is_nobody(
    daemon: Daemon, open_to_all: Daemon, keystone: Keystone
) -> None:
    alone = {"X-Service-Token": keystone.token("service")}

    for asked in (daemon, open_to_all):
        reply = httpx.get(f"{asked.url}/v2/images", headers=alone)
        assert reply.status_code == 401


def test_the_services_roles_are_known_beside_the_users(
    tmp_path: Path, keystone: Keystone
) -> None:
    who = caller(tmp_path, keystone, keystone.token("owner"), keystone.token("service"))

    assert sorted(who.roles) == ["member", "reader"]
    assert who.service_roles == ["service"]
    assert who.service_user_id == keystone.user("service")
    assert who.service_project_id == keystone.project("service")
    assert who.project_id == keystone.project("owner")


def test_the_scope_of_a_service_does_not_become_the_users(
    tmp_path: Path, keystone: Keystone
) -> None:
    role = keystone.role("service")
    keystone.admin().put(f"/system/users/{keystone.user('service')}/roles/{role}")
    of_system = keystone.new_token("service", system_scope="all")

    who = caller(tmp_path, keystone, keystone.token("owner"), of_system)

    assert who.service_roles == ["service"]
    assert who.system_scope is None
    assert caller(tmp_path, keystone, of_system).system_scope == "all"


def test_beside_a_services_token_a_users_may_have_ended(
    forgetful: Daemon, keystone: Keystone
) -> None:
    token = keystone.short_token("owner", 2)
    wait_for(lambda: listing(forgetful, token).status_code == 401)

    # For as long as Keystone says ([token] allow_expired_window, two days).
    beside = listing(forgetful, token, **{"X-Service-Token": keystone.token("service")})
    by_a_user = listing(
        forgetful, token, **{"X-Service-Token": keystone.token("admin")}
    )

    assert beside.status_code == 200
    assert by_a_user.status_code == 401


def caller(
    folder: Path, keystone: Keystone, token: str, of_service: str | None = None
) -> Context:
    """Who the filters of the pipeline take the sender of these tokens for."""
    seen: list[Context] = []

    def app(environ, start_response):
        seen.append(environ[CONTEXT])
        start_response("204 No Content", [])
        return []

    believed = FromHeaders(app, Settings(), lambda _: False)
    conf = config.load([configure(folder, keystone.options())])
    settings = {"delay_auth_decision": "true", "oslo_config_config": conf}
    checking = authtoken.AuthToken(believed, settings)
    headers = {"X-Auth-Token": token}
    if of_service is not None:
        headers["X-Service-Token"] = of_service
    assert call(checking, an_environ("GET", "/", headers=headers)).status == 204
    return seen[0]
