"""A listener on the broker, a way to the broker that breaks, and daemons that publish."""

from collections.abc import Iterator
from typing import Protocol

import kombu
import pytest

from tests.conftest import StartDaemon
from tests.daemon import Daemon, Options
from tests.notifications import listener as listeners
from tests.notifications import proxy as proxies
from tests.notifications.listener import Listener
from tests.notifications.proxy import Proxy


class StartPublisher(Protocol):
    def __call__(
        self,
        options: Options | None = None,
        *,
        through: Proxy | None = None,
        database: str = "sqlite",
    ) -> Daemon:
        """Start a daemon whose events ``listener`` hears; ``through`` a proxy, if given."""
        ...


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listeners.listening() as made:
        yield made


@pytest.fixture
def proxy(listener: Listener) -> Iterator[Proxy]:
    server = kombu.Connection(listeners.SERVER)
    with proxies.between((server.hostname, server.port or 5672)) as made:
        yield made


@pytest.fixture
def start_publisher(start_daemon: StartDaemon, listener: Listener) -> StartPublisher:
    def start(
        options: Options | None = None,
        *,
        through: Proxy | None = None,
        database: str = "sqlite",
    ) -> Daemon:
        sections = publishing(listener, options, through)
        return start_daemon(sections, database=database)

    return start


def publishing(
    listener: Listener, options: Options | None = None, through: Proxy | None = None
) -> dict[str, dict[str, object]]:
    """The options of a daemon that publishes to a listener, and others."""
    told: dict[str, object] = {
        "driver": "messagingv2",
        "topics": listener.topic,
        "transport_url": url(through),
    }
    sections = {"oslo_messaging_notifications": told}
    for name, section in (options or {}).items():
        sections.setdefault(name, {}).update(section)
    return sections


def url(through: Proxy | None = None, password: str | None = None) -> str:
    """The broker's URL as the service's options have it."""
    server = kombu.Connection(listeners.SERVER)
    host, port = (
        ("127.0.0.1", through.port) if through else (server.hostname, server.port)
    )
    known = f"{server.userid or 'guest'}:{password or server.password or 'guest'}"
    host_names = server.virtual_host if server.virtual_host != "/" else "%2F"
    return f"rabbit://{known}@{host}:{port or 5672}/{host_names}"
