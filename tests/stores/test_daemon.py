"""Every driver in the daemon, where sockets and threads are green: what may go wrong.

Whatever happens to an upload, the image is ``queued`` afterwards and no bytes lie about,
or it is there as a whole. A download is whole, or it breaks where the client sees it.
"""

import http.client
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest

from imageservice.stores.testing import EDGES, pattern
from tests import people
from tests.conftest import daemons
from tests.daemon import Daemon, configure
from tests.hammer import calls
from tests.hammer.calls import PROJECTS, Upload
from tests.stores.backends import MIB, REAL, Backend, sections

REAL_ONLY = pytest.mark.parametrize("backend", REAL, indirect=True)

LARGE = 9 * MIB + 5
"""Bytes of some segments of whatever kind, and a bit."""

HUGE = 32 * MIB
"""Bytes that no buffers on the way from a server to a client can hold."""

BROKEN = (ConnectionError, http.client.HTTPException)
"""What a client sees of a broken connection; one that hangs is a TimeoutError."""

SOON_S = 2.0
RECOVERY_S = 60


@pytest.fixture(scope="module")
def daemon(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    with daemons(tmp_path_factory.mktemp("daemon")) as start:
        yield start(sections(backend))


@pytest.fixture(autouse=True)
def _ends_empty(daemon: Daemon, backend: Backend) -> Iterator[None]:
    yield
    for image in calls.call(daemon.url, "GET", "/v2/images?limit=100").json["images"]:
        delete(daemon, f"/v2/images/{image['id']}")
    calls.until(lambda: not backend.left(daemon), RECOVERY_S, "something is left")


def uploaded(daemon: Daemon, data: bytes) -> str:
    image = calls.create(daemon.url)
    assert calls.put(daemon.url, image, data) == 204
    return image


def delete(daemon: Daemon, image: str) -> None:
    """Delete an image; a server that just came back may need some time."""

    def is_gone() -> bool:
        return calls.call(daemon.url, "DELETE", image).status in (204, 404)

    calls.until(is_gone, RECOVERY_S, "it cannot be deleted")


def half_uploaded(daemon: Daemon, size: int | None = 2 * LARGE) -> tuple[str, Upload]:
    """Begin an upload, and send what fills some segments but not all."""
    image = calls.create(daemon.url)
    upload = Upload(daemon.url, image, size)
    upload.send(pattern(LARGE))
    calls.until(calls.status_is(daemon.url, image, "saving"), 10, "it is not saving")
    return image, upload


def finished(upload: Upload) -> int | None:
    """Send the rest; return the status, None if the connection broke."""
    try:
        with suppress(
            ConnectionError
        ):  # it may be answered, and closed, before the end
            upload.send(pattern(2 * LARGE)[LARGE:])
        return upload.end()
    except BROKEN:
        return None


def is_settled(daemon: Daemon, image: str, status: int | None) -> None:
    """Check that the image is what the status says, and stays usable."""
    if status == 204:
        assert calls.download(daemon.url, image) == pattern(2 * LARGE)
        return
    is_queued = calls.status_is(daemon.url, image, "queued")
    calls.until(is_queued, RECOVERY_S, "it is not queued")
    assert calls.show(daemon.url, image)["size"] is None

    def is_taken() -> bool:
        return calls.put(daemon.url, image, b"again") == 204

    calls.until(is_taken, RECOVERY_S, "it cannot be uploaded again")
    assert calls.download(daemon.url, image) == b"again"


def is_readable_soon(daemon: Daemon, image: str, data: bytes) -> None:
    """Check that it can be downloaded, after the next look at the store at the latest."""

    def is_there() -> bool:
        return calls.call(daemon.url, "GET", f"{image}/file").body == data

    calls.until(is_there, RECOVERY_S, "it cannot be read")


def begun(daemon: Daemon, image: str) -> http.client.HTTPResponse:
    """Begin a download."""
    connection = http.client.HTTPConnection(
        *calls.address(daemon.url), timeout=calls.TIMEOUT_S
    )
    connection.request(
        "GET", f"{image}/file", headers=people.headers("owner", PROJECTS)
    )
    answer = connection.getresponse()
    assert answer.status == 200
    return answer


def rest(answer: http.client.HTTPResponse) -> bytes | None:
    """Read on to the end; None if the connection broke before it."""
    try:
        return answer.read()
    except BROKEN:
        return None


# --- sizes ---


@pytest.mark.parametrize("is_sized", [True, False], ids=["sized", "chunked"])
@pytest.mark.parametrize("size", [*EDGES, pytest.param(LARGE, id="large")])
def test_bytes_go_up_and_come_down(daemon, size, is_sized):
    image, data = calls.create(daemon.url), pattern(size)
    upload = Upload(daemon.url, image, size if is_sized else None)
    if data:
        upload.send(data)

    assert upload.end() == 204

    found = calls.call(daemon.url, "GET", f"{image}/file")
    assert (found.status, found.body) == (200, data)
    assert calls.show(daemon.url, image)["size"] == size
    if size > 20:
        span = {"Range": f"bytes={size - 11}-{size - 2}"}
        part = calls.call(daemon.url, "GET", f"{image}/file", headers=span)
        assert (part.status, part.body) == (206, data[-11:-1])


@pytest.mark.parametrize(
    "sent", [1, LARGE - 1, LARGE + 1], ids=["one", "short", "long"]
)
def test_another_size_than_announced_is_refused(daemon, backend, sent):
    image = calls.create(daemon.url)
    upload = Upload(daemon.url, image, None, {"x-openstack-image-size": str(LARGE)})
    with suppress(ConnectionError):
        upload.send(pattern(sent))

    assert upload.end() == 400

    assert calls.show(daemon.url, image)["status"] == "queued"
    assert not backend.left(daemon)


def test_many_transfers_at_once(daemon):
    found = []

    def transfer(number: int) -> None:
        data = bytes([number]) * (3 * MIB + number)
        image = uploaded(daemon, data)
        found.append(calls.download(daemon.url, image) == data)

    threads = [threading.Thread(target=transfer, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [True] * 6


# --- who ends in the middle ---


@pytest.mark.parametrize(
    "leave", [Upload.close, Upload.reset], ids=["closes", "resets"]
)
@pytest.mark.parametrize("size", [2 * LARGE, None], ids=["sized", "chunked"])
def test_a_client_that_goes_away_leaves_a_queued_image(
    daemon, backend, leave: Callable[[Upload], None], size
):
    image, upload = half_uploaded(daemon, size)

    leave(upload)

    is_queued = calls.status_is(daemon.url, image, "queued")
    calls.until(is_queued, RECOVERY_S, "it is not queued")
    calls.until(lambda: not backend.left(daemon), RECOVERY_S, "bytes are left")
    is_settled(daemon, image, None)


@REAL_ONLY
def test_a_daemon_that_is_killed_leaves_a_queued_image(daemon, backend):
    image, upload = half_uploaded(daemon)
    calls.until(lambda: backend.left(daemon), RECOVERY_S, "nothing has come so far")

    daemon.kill()
    upload.close()
    daemon.start()

    is_settled(daemon, image, None)


# --- a server in trouble ---


@REAL_ONLY
def test_a_store_that_is_full_refuses(daemon, backend):
    kept = uploaded(daemon, pattern(MIB))
    image = calls.create(daemon.url)

    with backend.full():
        upload = Upload(daemon.url, image, 2 * LARGE)
        with suppress(ConnectionError):
            upload.send(pattern(2 * LARGE))
        assert upload.status() == 413
        assert calls.download(daemon.url, kept) == pattern(MIB)

    is_settled(daemon, image, None)


@pytest.mark.parametrize("backend", ["memory"], indirect=True)
def test_an_upload_that_outgrows_its_store_is_refused(daemon, backend):
    image = calls.create(daemon.url)
    upload = Upload(daemon.url, image, None)
    with suppress(ConnectionError):
        for _ in range(backend.room // MIB + 1):
            upload.send(bytes(MIB))

    assert upload.end() == 413

    is_settled(daemon, image, None)


@REAL_ONLY
def test_a_server_that_hangs_in_an_upload_ends_it(daemon, backend):
    image, upload = half_uploaded(daemon)

    with backend.frozen():
        assert finished(upload) in (503, None)

    is_settled(daemon, image, None)


@REAL_ONLY
def test_a_server_that_hangs_in_a_download_breaks_it(daemon, backend):
    image = uploaded(daemon, pattern(HUGE))

    with closing(begun(daemon, image)) as answer:
        assert answer.read(MIB)
        with backend.frozen():
            assert rest(answer) is None

    is_readable_soon(daemon, image, pattern(HUGE))


@REAL_ONLY
def test_a_server_that_hangs_holds_up_nobody_else(daemon, backend):
    image = uploaded(daemon, b"data")
    answers: list[int] = []

    def download() -> None:
        answers.append(calls.call(daemon.url, "GET", f"{image}/file").status)

    with backend.frozen():
        waiting = threading.Thread(target=download)
        waiting.start()
        started = time.monotonic()
        for _ in range(10):
            assert calls.show(daemon.url, image)
        assert time.monotonic() - started < SOON_S
        waiting.join()

    assert answers == [503]
    is_readable_soon(daemon, image, b"data")


@REAL_ONLY
def test_an_upload_during_a_restart_is_whole_or_leaves_a_queued_image(daemon, backend):
    image, upload = half_uploaded(daemon)

    backend.restart()

    is_settled(daemon, image, finished(upload))


@REAL_ONLY
def test_a_download_during_a_restart_is_whole_or_breaks(daemon, backend):
    image = uploaded(daemon, pattern(HUGE))

    with closing(begun(daemon, image)) as answer:
        first = answer.read(MIB)
        backend.restart()
        found = rest(answer)

    assert found is None or first + found == pattern(HUGE)
    assert calls.download(daemon.url, image) == pattern(HUGE)


@REAL_ONLY
def test_new_credentials_are_a_change_of_configuration_and_no_more(daemon, backend):
    kept = uploaded(daemon, pattern(LARGE))
    image, upload = half_uploaded(daemon)

    backend.rotate()
    status = finished(upload)
    configure(
        daemon.configuration.parent,
        sections(backend) | {"database": {"connection": daemon.database}},
    )
    daemon.process.send_signal(signal.SIGHUP)

    is_readable_soon(daemon, kept, pattern(LARGE))
    is_settled(daemon, image, status)
