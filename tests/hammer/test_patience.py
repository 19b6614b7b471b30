"""What takes long delays nothing else in the same worker."""

import threading
import time
from collections.abc import Iterator

import pytest
import sqlalchemy

from tests.conftest import StartDaemon, daemons
from tests.daemon import Daemon
from tests.hammer import calls
from tests.hammer.calls import Upload

MIB = 1024 * 1024

#: Seconds for one request. They take some milliseconds on an idle machine; a request
#: that waits for one of the slow things here waits until the test lets go.
SOON_S = 2.0


@pytest.fixture(params=["postgresql", "mysql"], scope="module")
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """A daemon with a single worker."""
    with daemons(tmp_path_factory.mktemp("patience")) as start:
        yield start({"DEFAULT": {"workers": 1}}, database=request.param)


def test_queries_that_wait_for_a_lock_delay_nobody_else(daemon: Daemon) -> None:
    held, free = calls.create(daemon.url), calls.create(daemon.url)
    engine = sqlalchemy.create_engine(daemon.database)
    statuses: list[int] = []

    def rename() -> None:
        patch = [{"op": "replace", "path": "/name", "value": "late"}]
        statuses.append(calls.call(daemon.url, "PATCH", held, patch).status)

    waiting = [threading.Thread(target=rename) for _ in range(3)]
    lock = sqlalchemy.text("SELECT id FROM images WHERE id = :id FOR UPDATE")
    with engine.begin() as connection:
        connection.execute(lock, {"id": calls.name(held)})
        for thread in waiting:
            thread.start()

        slowest = _slowest_of(10, daemon, free)

        assert slowest < SOON_S
        assert not statuses
    for thread in waiting:
        thread.join()
    engine.dispose()
    assert statuses == [200] * 3


def test_clients_that_send_slowly_delay_nobody_else(daemon: Daemon) -> None:
    free = calls.create(daemon.url)
    images = [calls.create(daemon.url) for _ in range(20)]
    uploads = [Upload(daemon.url, image, 1000) for image in images]
    for upload in uploads:
        upload.send(b"x")

    slowest = _slowest_of(10, daemon, free)

    assert slowest < SOON_S
    for upload in uploads:
        upload.close()


def test_uploads_that_are_hashed_delay_nobody_else(start_daemon: StartDaemon) -> None:
    daemon = start_daemon({"DEFAULT": {"workers": 1}})
    free = calls.create(daemon.url)
    block = bytes(MIB)
    ended = threading.Event()

    def upload() -> None:
        upload = Upload(daemon.url, calls.create(daemon.url), 192 * MIB)
        for _ in range(192):
            upload.send(block)
        assert upload.end() == 204
        ended.set()

    uploading = threading.Thread(target=upload)
    uploading.start()
    waits = []
    while not ended.wait(0.01):
        waits.append(_slowest_of(1, daemon, free))
    uploading.join()

    assert max(waits) < SOON_S
    # The middle one shows that requests are served between blocks, not between uploads.
    assert sorted(waits)[len(waits) // 2] < 0.1


def _slowest_of(count: int, daemon: Daemon, image: str) -> float:
    """Return the longest time that one of some requests takes, in seconds."""
    times = []
    for _ in range(count):
        started = time.monotonic()
        assert calls.call(daemon.url, "GET", image).status == 200
        times.append(time.monotonic() - started)
    return max(times)
