"""The swift store in the daemon, where sockets are green."""

import threading
import time
from collections.abc import Iterator

import pytest

from tests.conftest import daemons
from tests.daemon import Daemon
from tests.hammer import calls
from tests.stores.swift import Swift

pytestmark = pytest.mark.servers

MIB = 1024 * 1024
SOON_S = 2.0


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    with Swift(tmp_path_factory.mktemp("swift")) as swift:
        yield swift


@pytest.fixture(scope="module")
def daemon(swift: Swift, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    options: dict[str, dict[str, object]] = {
        "DEFAULT": {"enabled_backends": "cloud:swift", "workers": 1},
        "glance_store": {"default_backend": "cloud"},
        "cloud": {
            "swift_store_auth_version": "1",
            "swift_store_auth_address": swift.auth,
            "swift_store_user": swift.user,
            "swift_store_key": swift.key,
            "swift_store_create_container_on_put": True,
            "swift_store_large_object_size": 4,
            "swift_store_large_object_chunk_size": 4,
            "swift_store_timeout": 5,
        },
    }
    with daemons(tmp_path_factory.mktemp("daemon")) as start:
        yield start(options)


def uploaded(daemon: Daemon, data: bytes) -> str:
    image = calls.create(daemon.url)
    headers = {"Content-Type": "application/octet-stream"}
    answer = calls.call(daemon.url, "PUT", f"{image}/file", data, headers)
    assert answer.status == 204, answer
    return image


@pytest.mark.parametrize("size", [0, 1, 4 * MIB, 9 * MIB + 5])
def test_bytes_go_up_and_come_down(daemon, size):
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]

    image = uploaded(daemon, data)

    assert calls.call(daemon.url, "GET", f"{image}/file").body == data
    if size > 20:
        span = {"Range": "bytes=10-19"}
        part = calls.call(daemon.url, "GET", f"{image}/file", headers=span)
        assert (part.status, part.body) == (206, data[10:20])
    assert calls.call(daemon.url, "DELETE", image).status == 204


def test_a_swift_that_hangs_holds_up_nobody_else(daemon, swift):
    image = uploaded(daemon, b"data")
    answers = []

    def download() -> None:
        answers.append(calls.call(daemon.url, "GET", f"{image}/file").status)

    with swift.frozen():
        waiting = threading.Thread(target=download)
        waiting.start()
        started = time.monotonic()
        for _ in range(10):
            assert calls.call(daemon.url, "GET", image).status == 200
        assert time.monotonic() - started < SOON_S
        waiting.join()

    assert answers == [503]
    assert calls.call(daemon.url, "GET", f"{image}/file").body == b"data"
    assert calls.call(daemon.url, "DELETE", image).status == 204
