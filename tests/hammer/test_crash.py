"""kill -9 of the daemon, at any moment of an upload (✗34)."""

import functools

import pytest

from tests.conftest import StartDaemon
from tests.daemon import Daemon
from tests.hammer import calls, processes
from tests.hammer.calls import Upload

RECOVERY_S = 30
BLOCK = b"0123456789abcdef" * 65536  # 1 MiB

#: Megabytes sent of three, with a size announced or not.
MOMENTS = [(0, 3), (1, 3), (2, 3), (0, None), (2, None)]


@pytest.mark.slow
def test_after_kill_9_images_are_queued_within_30_s_and_can_be_uploaded_again(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon()
    whole = calls.create(daemon.url)
    assert calls.put(daemon.url, whole, BLOCK) == 204
    begun = [_half_uploaded(daemon, sent, size) for sent, size in MOMENTS]
    doomed = _half_uploaded(daemon, 1, 3)
    assert calls.call(daemon.url, "DELETE", doomed).status == 204
    ending = [calls.create(daemon.url) for _ in range(12)]
    _end_all_at_once(daemon, ending)

    daemon.kill()
    daemon.start()

    for image in begun:
        is_queued = calls.status_is(daemon.url, image, "queued")
        calls.until(is_queued, RECOVERY_S, "an image is not queued")
    assert calls.call(daemon.url, "GET", doomed).status == 404
    active = _settled(daemon, ending) | {calls.name(whole)}
    is_clean = functools.partial(_holds, daemon, active)
    calls.until(is_clean, 10, "bytes are left")
    for image in [whole, *ending]:
        if calls.name(image) in active:
            assert calls.download(daemon.url, image) == BLOCK
    for image in begun:
        document = calls.show(daemon.url, image)
        assert (document["size"], document["checksum"]) == (None, None)
        assert calls.call(daemon.url, "GET", f"{image}/file").status == 204
        assert calls.put(daemon.url, image, BLOCK) == 204
        assert calls.download(daemon.url, image) == BLOCK


@pytest.mark.slow
@pytest.mark.parametrize("database", ["postgresql", "mysql"])
def test_the_upload_of_a_crashed_worker_is_undone_by_the_other_within_30_s(
    start_daemon: StartDaemon, database: str
) -> None:
    daemon = start_daemon({"DEFAULT": {"workers": 2}}, database=database)
    image = calls.create(daemon.url)
    upload = Upload(daemon.url, image, 2 * len(BLOCK))
    upload.send(BLOCK)
    calls.until(calls.status_is(daemon.url, image, "saving"), 10, "it is not saving")

    processes.kill(processes.serving(daemon.pid, upload.local_port(), daemon.port))

    calls.until(calls.status_is(daemon.url, image, "queued"), RECOVERY_S, "not queued")
    assert not calls.stored(daemon.images)
    assert calls.put(daemon.url, image, BLOCK) == 204
    assert calls.download(daemon.url, image) == BLOCK


def _half_uploaded(daemon: Daemon, sent: int, size: int | None) -> str:
    """Begin an upload that goes no further; return the image's path."""
    image = calls.create(daemon.url)
    upload = Upload(daemon.url, image, None if size is None else size * len(BLOCK))
    upload.send(BLOCK * sent or b"x")
    calls.until(calls.status_is(daemon.url, image, "saving"), 10, "it is not saving")
    _OPEN.append(upload)
    return image


def _end_all_at_once(daemon: Daemon, images: list[str]) -> None:
    """Send all bytes of uploads and wait until the first of them is answered."""
    uploads = [Upload(daemon.url, image, len(BLOCK)) for image in images]
    for upload in uploads:
        upload.send(BLOCK[:-1])
    for upload in uploads:
        upload.send(BLOCK[-1:])
    _OPEN.extend(uploads)
    calls.until(lambda: any(u.is_answered() for u in uploads), 10, "no upload ends")


def _settled(daemon: Daemon, images: list[str]) -> set[str]:
    """Wait until each image is active or queued; return the ids of the active ones."""

    def shown() -> list[dict[str, object]]:
        return [calls.show(daemon.url, image) for image in images]

    def is_settled() -> bool:
        return {image["status"] for image in shown()} <= {"active", "queued"}

    calls.until(is_settled, RECOVERY_S, "some are neither active nor queued")
    return {str(image["id"]) for image in shown() if image["status"] == "active"}


def _holds(daemon: Daemon, names: set[str]) -> bool:
    return calls.stored(daemon.images) == names


_OPEN: list[Upload] = []  # a socket that is collected is closed, which is another case
