"""Daemons for tests of the whole: ``start_daemon`` makes as many as a test needs."""

import contextlib
import importlib.util
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests import databases
from tests.daemon import Daemon, Options
from tests.databases import missing
from tests.identity.keystone import Keystone
from tests.identity.limits import Limits


class StartDaemon(Protocol):
    def __call__(
        self, options: Options | None = None, *, database: str = "sqlite"
    ) -> Daemon:
        """Start a daemon that trusts identity headers; it is killed in the end.

        ``options`` are sections of its configuration file, beyond a database of the kind
        named and a file store in ``daemon.images``.
        """
        ...


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """A real Keystone; tests leave in it what they made, and its own people alone."""
    if importlib.util.find_spec("keystone") is None:
        missing("Keystone is not installed (it is in the extra test)")
    with Keystone(tmp_path_factory.mktemp("keystone")) as keystone:
        yield keystone


@pytest.fixture
def limits(keystone: Keystone) -> Iterator[Limits]:
    """The unified limits of that Keystone; none limits anything until a test says so."""
    with Limits(keystone) as limits:
        yield limits


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[StartDaemon]:
    with daemons(tmp_path) as start:
        yield start


@contextlib.contextmanager
def daemons(folder: Path) -> Iterator[StartDaemon]:
    """Provide the function that starts daemons, each in a folder below this one."""
    numbers = itertools.count()
    with contextlib.ExitStack() as running:

        def start(
            options: Options | None = None, *, database: str = "sqlite"
        ) -> Daemon:
            home = folder / f"daemon-{next(numbers)}"
            images = home / "images"
            images.mkdir(parents=True)
            sections: dict[str, dict[str, object]] = {
                "DEFAULT": {"enabled_backends": "main:file"},
                "glance_store": {"default_backend": "main"},
                "main": {"filesystem_store_datadir": images},
            }
            for name, section in (options or {}).items():
                sections.setdefault(name, {}).update(section)
            url = running.enter_context(databases.ready(database, home))
            sections.setdefault("database", {})["connection"] = url
            daemon = Daemon(home, sections)
            daemon.images, daemon.database = images, url
            return running.enter_context(daemon)

        yield start
