"""A key manager with certificates in it, and a daemon that asks it."""

import importlib.util
from collections.abc import Iterator

import pytest

from tests.conftest import StartDaemon, daemons
from tests.daemon import Daemon
from tests.databases import missing
from tests.identity.keystone import Keystone
from tests.keys.barbican import Barbican
from tests.signing import Signer


@pytest.fixture(scope="session")
def barbican(
    keystone: Keystone, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Barbican]:
    if importlib.util.find_spec("barbican") is None:
        missing("Barbican is not installed (it is in the extra test)")
    with Barbican(tmp_path_factory.mktemp("barbican"), keystone) as barbican:
        yield barbican


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartDaemon]:
    """``start_daemon`` for daemons that several tests share."""
    with daemons(tmp_path_factory.mktemp("shared")) as starting:
        yield starting


@pytest.fixture(scope="session")
def daemon(keystone: Keystone, barbican: Barbican, start: StartDaemon) -> Daemon:
    """It finds Barbican in the catalog, as the configuration's documentation has it."""
    return start(keystone.options(barbican.options()))


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer.make("RSA-PSS")


@pytest.fixture(scope="session")
def certificate(barbican: Barbican, signer: Signer) -> str:
    """The id of the signer's certificate, which the project ``owner`` has."""
    return barbican.store("owner", signer.pem)
