"""A store's disk that is full: a small tmpfs, which only root can mount."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartDaemon
from tests.hammer import calls
from tests.hammer.calls import Upload

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"cannot mount a tmpfs (root is needed): {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("is_sized", [True, False], ids=["sized", "chunked"])
def test_an_upload_that_does_not_fit_is_refused_and_smaller_ones_go_on(
    start_daemon: StartDaemon, small_disk: Path, is_sized: bool
) -> None:
    daemon = start_daemon({"main": {"filesystem_store_datadir": small_disk}})
    large, small = calls.create(daemon.url), calls.create(daemon.url)
    data = os.urandom(4 * MIB)
    going_on = Upload(daemon.url, small, len(data))
    going_on.send(data[:MIB])
    calls.until(calls.status_is(daemon.url, small, "saving"), 10, "it is not saving")

    status, reason = _too_large(daemon.url, large, is_sized)

    assert status in (413, 507)
    assert b"room" in reason or b"space" in reason
    document = calls.show(daemon.url, large)
    assert (document["status"], document["size"]) == ("queued", None)
    going_on.send(data[MIB:])
    assert going_on.end() == 204
    assert calls.download(daemon.url, small) == data
    assert calls.stored(small_disk) == {calls.name(small)}
    another = calls.create(daemon.url)
    assert calls.put(daemon.url, another, data) == 204


def _too_large(url: str, image: str, is_sized: bool) -> tuple[int, bytes]:
    """Send 24 MiB, announced or in chunks, as long as they are taken."""
    upload = Upload(url, image, 24 * MIB if is_sized else None)
    with contextlib.suppress(OSError):  # it may be answered, and closed, before the end
        for _ in range(24):
            upload.send(b"x" * MIB)
    return upload.answer()
