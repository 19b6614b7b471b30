"""A daemon with the test application: one for all tests that only talk to it."""

import contextlib
import random

import pytest

from tests.wsgi.client import Client, Daemon

DATA = random.Random(1).randbytes(3 * 1024 * 1024 + 4321)


@pytest.fixture(scope="session")
def data():
    return DATA


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "data").write_bytes(DATA)
    running = Daemon(folder, max_header_line=4096).start()
    yield running
    assert running.end() == 0


@pytest.fixture
def make_daemon(tmp_path):
    """Start daemons that the test may break."""
    (tmp_path / "data").write_bytes(DATA)
    running = []

    def make(**settings):
        running.append(Daemon(tmp_path, **settings))
        return running[-1]

    yield make
    for daemon in running:
        daemon.end()


@pytest.fixture
def make_client():
    with contextlib.ExitStack() as stack:

        def make(daemon):
            return stack.enter_context(contextlib.closing(Client(daemon.connect())))

        yield make
