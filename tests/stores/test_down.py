"""A store that is down when the daemon starts: the others serve, and it comes back by itself."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from tests import daemon as daemons
from tests.daemon import Daemon
from tests.hammer import calls

pytest.importorskip("boto3")
pytest.importorskip("swiftclient")

SOON_S = 20.0  # on a busy machine; without us it would be minutes
LATE_S = 60.0

#: A page of health that asks for the stores, beside the one that says whether it runs.
PASTE = (
    daemons.PASTE.replace(
        "/healthcheck = healthcheck", "/healthcheck = healthcheck\n/stores = stores"
    )
    + """
[app:stores]
paste.app_factory = oslo_middleware:Healthcheck.app_factory
backends = imageservice_stores
detailed = True
"""
)


@pytest.fixture
def start(start_daemon, tmp_path):
    """Start a daemon with the file store ``main`` and the store ``cold`` of a kind."""

    def start(kind: str, **options: object) -> Daemon:
        paste = tmp_path / "paste.ini"
        paste.write_text(PASTE)
        return start_daemon(
            {
                "DEFAULT": {"enabled_backends": f"main:file, cold:{kind}"},
                "paste_deploy": {"config_file": paste},
                "cold": options,
            }
        )

    return start


@contextlib.contextmanager
def silence() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def put(daemon: Daemon, store: str) -> calls.Answer:
    image = calls.create(daemon.url)
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Image-Meta-Store": store,
    }
    return calls.call(daemon.url, "PUT", f"{image}/file", b"data", headers)


def stores_health(daemon: Daemon) -> calls.Answer:
    headers = {"Accept": "application/json"}
    return calls.call(daemon.url, "GET", "/stores", headers=headers)


def check_that_it_is_down(daemon: Daemon) -> None:
    """The others serve; this one is refused by name, at once, and told of."""
    assert put(daemon, "main").status == 204
    first = put(daemon, "cold")  # may wait for the first look, for ten seconds
    started = time.monotonic()
    answer = put(daemon, "cold")
    assert time.monotonic() - started < SOON_S
    for each in (first, answer):
        assert each.status == 503, each
        assert b"Store &#x27;cold&#x27; is not available" in each.body or (
            b"Store 'cold' is not available" in each.body
        )
        assert b"127.0.0.1" not in each.body
    started = time.monotonic()
    health = stores_health(daemon)
    assert time.monotonic() - started < SOON_S
    assert health.status == 503
    (reason,) = health.json["reasons"]
    assert reason["reason"] == "store cold: not available"
    assert "has not answered for" in reason["details"]
    calls.until(
        lambda: "store cold hangs" in daemon.log.read_text(), SOON_S, "nobody is told"
    )


def check_that_it_comes_back(daemon: Daemon) -> None:
    calls.until(lambda: put(daemon, "cold").status == 204, LATE_S, "it is still down")
    calls.until(
        lambda: stores_health(daemon).status == 200, LATE_S, "it is said to be down"
    )


def s3(address: str) -> dict[str, object]:
    return {
        "s3_store_host": address,
        "s3_store_access_key": "who",
        "s3_store_secret_key": "secret",
        "s3_store_bucket": "down",
        "s3_store_create_bucket_on_put": True,
    }


def test_a_store_that_never_answers_neither_stops_nor_delays_the_start(start):
    with silence() as address:
        daemon = start("s3", **s3(address))
        check_that_it_is_down(daemon)


@pytest.mark.servers
def test_a_gateway_that_hangs_at_the_start(start, ceph):
    options = s3(ceph.url) | {
        "s3_store_access_key": ceph.account.access_key,
        "s3_store_secret_key": ceph.account.secret_key,
    }
    ceph.freeze("gateway")
    try:
        daemon = start("s3", **options)
        check_that_it_is_down(daemon)
    finally:
        ceph.thaw("gateway")
    check_that_it_comes_back(daemon)


@pytest.mark.servers
def test_a_swift_that_hangs_at_the_start(start, swift):
    options = {
        "swift_store_auth_version": "1",
        "swift_store_auth_address": swift.auth,
        "swift_store_user": swift.user,
        "swift_store_key": swift.key,
        "swift_store_create_container_on_put": True,
    }
    with swift.frozen():
        daemon = start("swift", **options)
        check_that_it_is_down(daemon)
    check_that_it_comes_back(daemon)
