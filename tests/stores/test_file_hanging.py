"""File systems that hang: what it costs their own store, and nobody else."""

import contextlib
import http.client
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.filesystem import File
from imageservice.stores.testing import Stream, Threads, pattern, read_all
from tests import people
from tests.conftest import StartDaemon
from tests.daemon import Daemon
from tests.hammer import calls
from tests.stores.disks import Remote

TIMEOUT_S = 3
AWAY = {"X-Image-Meta-Store": "away"}
DATA = os.urandom(3 * BLOCK)
CROWD = 64


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with Remote(tmp_path / "server", tmp_path / "mount") as running:
        yield running


# --- the driver ---


@pytest.fixture
def driver(remote: Remote) -> File:
    options = {
        "filesystem_store_datadir": str(remote.at),
        "filesystem_store_timeout": 1,
    }
    driver = File.configured("away", options, Threads())
    driver.create()
    return driver


def stored(remote: Remote) -> set[str]:
    return calls.stored(remote.source)


def test_whatever_is_asked_ends_in_time(remote: Remote, driver: File) -> None:
    url = driver.write("key", Stream(b"data"), 4).url
    remote.hang()

    for call in (
        driver.check,
        driver.create,
        lambda: driver.write("other", Stream(b"data"), 4),
        lambda: driver.read(url),
        lambda: driver.size(url),
        lambda: driver.discard("key"),
    ):
        begun = time.monotonic()
        with pytest.raises(errors.NoAnswer):
            call()
        assert time.monotonic() - begun < 10
    assert driver.claims() == [str(remote.at)]


def test_a_removal_that_was_not_begun_is_known_to_have_changed_nothing(
    remote: Remote, driver: File
) -> None:
    url = driver.write("key", Stream(b"data"), 4).url
    remote.hang()

    with pytest.raises(errors.NotBegun):
        driver.delete(url)
    remote.go_on()

    assert read_all(driver, url) == b"data"


def test_what_is_written_while_it_begins_to_hang_is_discarded_later(
    remote: Remote, driver: File
) -> None:
    stream = Stream(pattern(3 * BLOCK), at=BLOCK, then=remote.hang)

    with pytest.raises(errors.RemainsLeft):
        driver.write("key", stream, 3 * BLOCK)
    with pytest.raises(errors.NoAnswer):
        driver.discard("key")
    remote.go_on()
    calls.until(lambda: settled(driver, "key"), 20, "not discarded")

    assert stored(remote) == set()
    url = driver.write("key", Stream(b"data"), 4).url
    assert read_all(driver, url) == b"data"


def test_an_upload_that_is_refused_as_all_threads_hang_closes_nothing_itself(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To close a file may hang: the thread of all requests must not do it."""
    options = {
        "filesystem_store_datadir": str(remote.at),
        "filesystem_store_timeout": 1,
        "filesystem_store_thread_pool_size": 1,
    }
    driver = File.configured("away", options, Threads())
    driver.create()
    closing: list[tuple[str, int]] = []  # file, thread
    close = os.close

    def note(number: int) -> None:
        path = os.readlink(f"/proc/self/fd/{number}")
        closing.append((path, threading.get_ident()))
        close(number)

    def hang() -> None:
        remote.hang()
        with pytest.raises(errors.NoAnswer):
            driver.check()
        monkeypatch.setattr(os, "close", note)

    stream = Stream(pattern(3 * BLOCK), at=BLOCK, then=hang)
    with pytest.raises(errors.RemainsLeft):
        driver.write("key", stream, 3 * BLOCK)
    remote.go_on()

    calls.until(lambda: settled(driver, "key"), 20, "not discarded")
    calls.until(
        lambda: any(path.startswith(f"{remote.at}/") for path, _ in closing),
        20,
        "it is left open",
    )
    assert threading.get_ident() not in {thread for _, thread in closing}


def test_a_file_that_hangs_while_it_is_made_is_discarded_later(
    remote: Remote, driver: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = os.open

    def hang(path: str, flags: int, *rest: Any, **others: Any) -> int:
        if flags & os.O_CREAT:
            remote.hang()
        return open_(path, flags, *rest, **others)

    monkeypatch.setattr(os, "open", hang)
    with pytest.raises(errors.RemainsLeft):
        driver.write("key", Stream(b"data"), 4)
    remote.go_on()

    calls.until(lambda: settled(driver, "key"), 20, "not discarded")
    calls.until(lambda: not driver._patience.hangs, 20, "calls still hang")
    assert stored(remote) == set()


def test_a_removal_that_comes_late_takes_no_newer_data(
    remote: Remote, driver: File
) -> None:
    driver.write("key", Stream(b"older"), 5)
    remote.hang()
    for _ in range(3):
        with pytest.raises(errors.NoAnswer):
            driver.discard("key")
    remote.go_on()

    calls.until(lambda: settled(driver, "key"), 20, "not discarded")
    url = driver.write("key", Stream(b"newer"), 5).url
    calls.until(lambda: not driver._patience.hangs, 20, "calls still hang")

    assert read_all(driver, url) == b"newer"


def settled(driver: File, key: str) -> bool:
    with contextlib.suppress(errors.NoAnswer):
        driver.discard(key)
        return True
    return False


def test_a_read_that_begins_to_hang_ends_in_time_and_goes_on_later(
    remote: Remote, driver: File
) -> None:
    data = pattern(6 * BLOCK)
    url = driver.write("key", Stream(data), None).url
    chunks = driver.read(url)
    blocks = iter(chunks)
    next(blocks)
    os.truncate(remote.source / "key", len(data))  # what was read ahead counts no more
    remote.hang()
    with pytest.raises(errors.NoAnswer):
        for _ in blocks:
            pass
    chunks.close()
    remote.go_on()

    assert read_all(driver, url) == data


def test_a_file_that_may_hang_is_not_sent_by_the_thread_of_all_requests(
    driver: File,
) -> None:
    url = driver.write("key", Stream(b"data"), 4).url

    assert not hasattr(driver.read(url), "file")


# --- the service ---


@pytest.fixture
def serve(
    start_daemon: StartDaemon, remote: Remote
) -> Callable[[int], tuple[Daemon, str]]:
    """Start a daemon with the stores main and away; the latter waits so many seconds.

    Returns it and the path of an image that lies in both.
    """

    def start(timeout_s: int) -> tuple[Daemon, str]:
        daemon = start_daemon(
            {
                "DEFAULT": {"enabled_backends": "main:file,away:file", "workers": 1},
                "away": {
                    "filesystem_store_datadir": remote.at,
                    "filesystem_store_timeout": timeout_s,
                    "filesystem_store_thread_pool_size": 4,
                },
            }
        )
        return daemon, put(daemon, DATA)

    return start


def put(daemon: Daemon, data: bytes) -> str:
    """Upload an image into the store away, and return its path."""
    image = calls.create(daemon.url)
    assert upload(daemon, image, data) == 204
    return image


def upload(daemon: Daemon, image: str, data: bytes) -> int:
    headers = {"Content-Type": "application/octet-stream", **AWAY}
    return calls.call(daemon.url, "PUT", f"{image}/file", data, headers).status


def crowd(
    pool: ThreadPoolExecutor, daemon: Daemon, image: str
) -> tuple[list[str], list["Future[int]"]]:
    """Let half of a crowd download the image, the other half upload into its store."""
    images = [calls.create(daemon.url) for _ in range(CROWD // 2)]
    asked = [pool.submit(upload, daemon, other, DATA) for other in images]
    asked += [
        pool.submit(lambda: calls.call(daemon.url, "GET", f"{image}/file").status)
        for _ in range(CROWD // 2)
    ]
    return images, asked


def assert_others_are_served(daemon: Daemon) -> None:
    image = calls.create(daemon.url)
    assert calls.put(daemon.url, image, DATA) == 204
    assert calls.download(daemon.url, image) == DATA
    assert daemon.answers()


def workers_descriptors(daemon: Daemon) -> int:
    """Files that are open in the daemon's processes."""
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children")
    pids = [daemon.pid, *map(int, children.read_text().split())]
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


@pytest.mark.slow
def test_a_store_that_hangs_fails_alone(
    serve: Callable[[int], tuple[Daemon, str]], remote: Remote
) -> None:
    daemon, image = serve(TIMEOUT_S)
    assert_others_are_served(daemon)
    before = workers_descriptors(daemon)
    remote.hang()

    with ThreadPoolExecutor(CROWD) as pool:
        images, asked = crowd(pool, daemon, image)
        assert_others_are_served(daemon)
        assert {future.result(60) for future in asked} == {503}

    # Nothing had been begun there, so the images can be uploaded elsewhere at once.
    assert {calls.show(daemon.url, other)["status"] for other in images} == {"queued"}
    assert calls.call(daemon.url, "DELETE", image).status == 503
    assert_others_are_served(daemon)
    remote.go_on()
    calls.until(
        lambda: upload(daemon, images[0], DATA) == 204, 30, "the store is not back"
    )
    assert calls.download(daemon.url, image) == DATA
    assert calls.call(daemon.url, "DELETE", image).status == 204
    assert stored(remote) == {calls.name(images[0])}
    calls.until(
        lambda: workers_descriptors(daemon) <= before + 2, 60, "files are left open"
    )


@pytest.mark.slow
def test_without_a_timeout_all_wait_and_only_they(
    serve: Callable[[int], tuple[Daemon, str]], remote: Remote
) -> None:
    daemon, image = serve(0)
    remote.hang()

    with ThreadPoolExecutor(CROWD) as pool:
        images, asked = crowd(pool, daemon, image)
        try:
            for _ in range(3):
                assert_others_are_served(daemon)
            assert not any(future.done() for future in asked)
        finally:
            remote.go_on()
        assert {future.result(60) for future in asked} == {200, 204}

    assert stored(remote) == {calls.name(other) for other in (image, *images)}


@pytest.mark.slow
def test_an_upload_that_begins_to_hang_is_undone_when_it_goes_on(
    serve: Callable[[int], tuple[Daemon, str]], remote: Remote
) -> None:
    daemon, image = serve(TIMEOUT_S)
    other = calls.create(daemon.url)
    going = calls.Upload(daemon.url, other, 16 * BLOCK, AWAY)
    going.send(DATA)
    calls.until(lambda: len(stored(remote)) == 2, 20, "nothing is written")
    remote.hang()
    begun = time.monotonic()
    with contextlib.suppress(OSError):  # it may be answered before it has all
        going.send(bytes(13 * BLOCK))

    assert going.status() == 503
    assert time.monotonic() - begun < 30
    assert_others_are_served(daemon)
    remote.go_on()

    calls.until(calls.status_is(daemon.url, other, "queued"), 60, "it is not queued")
    assert stored(remote) == {calls.name(image)}
    assert upload(daemon, other, DATA) == 204


@pytest.mark.slow
def test_a_download_that_begins_to_hang_is_broken_off(
    serve: Callable[[int], tuple[Daemon, str]], remote: Remote
) -> None:
    daemon, _ = serve(TIMEOUT_S)
    image = put(daemon, bytes(64 * BLOCK))
    host, port = calls.address(daemon.url)
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.request(
        "GET", f"{image}/file", headers=people.headers("owner", calls.PROJECTS)
    )
    answer = connection.getresponse()
    assert answer.status == 200
    answer.read(BLOCK)
    remote.hang()

    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()

    connection.close()
    assert_others_are_served(daemon)
    remote.go_on()
    assert len(calls.download(daemon.url, image)) == 64 * BLOCK
