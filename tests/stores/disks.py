"""Small file systems for tests, mounted where that is allowed."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.databases import missing


@contextlib.contextmanager
def mounted(at: Path, *arguments: str) -> Iterator[Path]:
    """Mount something at ``at`` for a while; skips the test where only root may."""
    at.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", *arguments, str(at)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"mount is not allowed here: {made.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def memory_disk(at: Path, size: str) -> contextlib.AbstractContextManager[Path]:
    return mounted(at, "-t", "tmpfs", "-o", f"size={size}", "tmpfs")


@contextlib.contextmanager
def file_system(at: Path, kind: str, size: int) -> Iterator[Path]:
    """A new file system of ``size`` bytes in a file beside ``at``, mounted there."""
    program = f"mkfs.{kind}"
    if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        missing(f"{program} is not there (apt-get install xfsprogs btrfs-progs)")
    image = at.with_suffix(".disk")
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run([program, "-q", image], check=True)
    try:
        with mounted(at, "-o", "loop", str(image)):
            yield at
    finally:
        image.unlink()


def used(folder: Path) -> int:
    """Bytes taken on the file system of ``folder``, once everything has been written."""
    subprocess.run(["sync", "--file-system", folder], check=True)
    room = os.statvfs(folder)
    return (room.f_blocks - room.f_bfree) * room.f_frsize


class Remote:
    """A folder mounted elsewhere through a process, as from a file server; it can hang.

    ``source`` has the files in any case, ``at`` only while the process runs.
    """

    def __init__(self, source: Path, at: Path) -> None:
        self.source, self.at = source, at

    def __enter__(self) -> Self:
        if not shutil.which("bindfs") or not os.access("/dev/fuse", os.W_OK):
            missing("bindfs (apt-get install bindfs) or /dev/fuse is not there")
        for folder in (self.source, self.at):
            folder.mkdir()
        command = ["bindfs", "-f", "--no-allow-other", str(self.source), str(self.at)]
        self._process = subprocess.Popen(command)
        deadline = time.monotonic() + 30
        while not os.path.ismount(self.at):
            assert self._process.poll() is None, "bindfs has ended"
            assert time.monotonic() < deadline, "bindfs does not mount"
            time.sleep(0.02)
        return self

    def __exit__(self, *exception: object) -> None:
        self.go_on()
        self._process.terminate()  # it unmounts
        self._process.wait(30)

    def hang(self) -> None:
        """Keep whoever touches the folder waiting, however long."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)
