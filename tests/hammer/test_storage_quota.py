"""A quota of storage holds in every storm, and is given back after every accident (✗58)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from imageservice.db.usage import Used
from tests.conftest import daemons
from tests.daemon import Daemon
from tests.hammer import calls, processes
from tests.hammer.calls import Upload
from tests.hammer.samples import Samples, stored_bytes, used

MIB = 2**20
QUOTA = 100 * MIB
BLOCK = b"0123456789abcdef" * (MIB // 16)
PROJECT = calls.PROJECTS["owner"]
RECOVERY_S = 40


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    options = {"DEFAULT": {"workers": 4, "user_storage_quota": "100MB"}}
    with daemons(tmp_path_factory.mktemp("storage")) as start:
        yield start(options, database=request.param)


def upload(daemon: Daemon, image: str, mib: int, *, chunked: bool) -> int:
    """Send an image; 0 if the connection ends before the answer can be read."""
    sending = Upload(daemon.url, image, None if chunked else mib * MIB)
    try:
        try:
            for _ in range(mib):
                sending.send(BLOCK)
        except OSError:
            return sending.status()
        return sending.end()
    except OSError:
        return 0


def storm(daemon: Daemon, mib: int, *, chunked: bool) -> dict[str, int]:
    """Upload eight images at once; their statuses."""
    images = [calls.create(daemon.url) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        statuses = pool.map(lambda i: upload(daemon, i, mib, chunked=chunked), images)
        return dict(zip(images, statuses, strict=True))


def settled(daemon: Daemon, *, images: int, stored: int) -> None:
    """Wait until nothing is left of uploads but what is stored, and compare."""

    def is_settled() -> bool:
        now = used(daemon, PROJECT)
        return not now.uploading and stored_bytes(daemon.images) == stored

    calls.until(is_settled, RECOVERY_S, "something is left")
    assert used(daemon, PROJECT) == Used(images=images, bytes=stored)


def test_of_eight_uploads_into_room_for_three_three_are_stored(daemon: Daemon) -> None:
    samples = Samples(daemon, PROJECT)

    with samples.taken():
        statuses = storm(daemon, 30, chunked=False)

    assert sorted(statuses.values()) == [204] * 3 + [413] * 5
    assert samples.stored == samples.charged == 90 * MIB
    assert samples.count > 10
    settled(daemon, images=8, stored=90 * MIB)
    for image, status in statuses.items():
        expected = "active" if status == 204 else "queued"
        assert calls.show(daemon.url, image)["status"] == expected
    last = calls.create(daemon.url)
    assert upload(daemon, last, 11, chunked=False) == 413
    assert upload(daemon, last, 10, chunked=False) == 204
    assert calls.call(daemon.url, "DELETE", last).status == 204
    settled(daemon, images=8, stored=90 * MIB)


def test_uploads_of_unknown_size_never_take_more_than_there_is(daemon: Daemon) -> None:
    samples = Samples(daemon, PROJECT)

    with samples.taken():
        statuses = storm(daemon, 30, chunked=True)

    assert set(statuses.values()) <= {204, 413, 0}
    stored = [image for image, status in statuses.items() if status == 204]
    assert 1 <= len(stored) <= 3
    assert samples.stored <= QUOTA
    assert samples.charged <= QUOTA
    settled(daemon, images=8, stored=30 * MIB * len(stored))
    for image in statuses:
        expected = "active" if image in stored else "queued"
        assert calls.show(daemon.url, image)["status"] == expected


def test_one_of_unknown_size_gets_the_last_byte_and_none_beyond(daemon: Daemon) -> None:
    whole, beyond = calls.create(daemon.url), calls.create(daemon.url)

    sending = Upload(daemon.url, beyond, None)
    for _ in range(100):
        sending.send(BLOCK)
    sending.send(b"x")
    assert sending.end() == 413
    settled(daemon, images=2, stored=0)
    assert upload(daemon, whole, 100, chunked=True) == 204
    settled(daemon, images=2, stored=QUOTA)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(50, id="announced"),
        pytest.param(None, id="unknown"),
    ],
)
@pytest.mark.slow
def test_whatever_ends_an_upload_gives_its_room_back(
    daemon: Daemon, size: int | None
) -> None:
    def begun() -> tuple[str, Upload]:
        before = stored_bytes(daemon.images)
        image = calls.create(daemon.url)
        sending = Upload(daemon.url, image, None if size is None else size * MIB)
        for _ in range(20):
            sending.send(BLOCK)
        enough = before + 19 * MIB
        calls.until(lambda: stored_bytes(daemon.images) >= enough, 10, "no bytes come")
        return image, sending

    gone, sending = begun()
    sending.reset()
    settled(daemon, images=1, stored=0)

    deleted, sending = begun()
    assert calls.call(daemon.url, "DELETE", deleted).status == 204
    # Hidden, and charged until its bytes are gone (CVE-2015-5286).
    assert used(daemon, PROJECT).reserved >= 20 * MIB
    sending.close()
    settled(daemon, images=1, stored=0)

    crashed, _first = begun()
    processes.kill(processes.serving(daemon.pid, _first.local_port(), daemon.port))
    lost, _second = begun()
    daemon.kill()
    assert used(daemon, PROJECT).reserved >= 40 * MIB
    daemon.start()
    settled(daemon, images=3, stored=0)
    for image in (gone, crashed, lost):
        assert calls.show(daemon.url, image)["status"] == "queued"
    assert upload(daemon, lost, 100, chunked=size is None) == 204
    settled(daemon, images=3, stored=QUOTA)
