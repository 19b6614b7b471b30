"""Daemons that ask a real Keystone, and one between them that makes trouble."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import StartDaemon, daemons
from tests.daemon import Daemon
from tests.identity.keystone import Keystone
from tests.keystone.between import Between

#: Every step of ours and of the libraries that ask Keystone goes into the log.
LIBRARIES = (
    "keystonemiddleware",
    "keystoneauth",
    "keystoneclient",
    "urllib3",
    "requests",
)
TALKATIVE = {
    "debug": True,
    "default_log_levels": ",".join(f"{library}=DEBUG" for library in LIBRARIES),
}


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartDaemon]:
    """``start_daemon`` for daemons that several tests share."""
    with daemons(tmp_path_factory.mktemp("shared")) as starting:
        yield starting


@pytest.fixture(scope="session")
def daemon(keystone: Keystone, start: StartDaemon) -> Daemon:
    """As operators have it, but that it tells every step in its log."""
    return start(keystone.options({"DEFAULT": TALKATIVE}))


@pytest.fixture(scope="session")
def forgetful(keystone: Keystone, start: StartDaemon) -> Daemon:
    """One that asks Keystone anew for each request."""
    forgetting = {"keystone_authtoken": {"token_cache_time": -1}}
    return start(keystone.options({"DEFAULT": TALKATIVE, **forgetting}))


@pytest.fixture(scope="session")
def open_to_all(keystone: Keystone, start: StartDaemon) -> Daemon:
    """One that lets in who sends no token, and a policy by which they see something."""
    anonymous = {"allow_anonymous_access": True}
    return start(keystone.options({"DEFAULT": {**TALKATIVE, **anonymous}}))


@pytest.fixture(scope="session")
def between(keystone: Keystone) -> Iterator[Between]:
    with Between(keystone) as between:
        yield between


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as client:
        yield client
