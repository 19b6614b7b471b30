"""The disk image that the demo sends: the newcomer's own, or one made here."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from oslo_utils.imageutils import format_inspector

from imageservice.cmd.demo.client import DemoError

DISK_BYTES = 64 * 1024 * 1024
BLOCK = 1024 * 1024
SECTOR = 512
FIRST_SECTOR = 2048  # where the partition begins, as every partitioning tool has it

#: Disk formats that have no mark of their own in the file, by the file's extension.
BY_EXTENSION = {
    ".ami": "ami",
    ".ari": "ari",
    ".aki": "aki",
    ".hds": "ploop",
    ".iso": "iso",
}


class Disk(NamedTuple):
    name: str
    disk_format: str
    file: IO[bytes]
    size: int  # bytes


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Disk]:
    """The newcomer's own image. Raises DemoError if it cannot be read."""
    try:
        disk_format = detect(path)
        file = path.open("rb")
    except OSError as error:
        raise DemoError(f"cannot read {path}: {error.strerror}") from error
    with file:
        yield Disk(path.name, disk_format, file, os.fstat(file.fileno()).st_size)


@contextlib.contextmanager
def made(folder: Path) -> Iterator[Disk]:
    """A disk made here, in a nameless file in ``folder`` that is gone afterwards."""
    with tempfile.TemporaryFile(dir=folder) as file:
        make(file, DISK_BYTES)
        yield Disk("demo-disk", "raw", file, DISK_BYTES)


def make(file: IO[bytes], size: int) -> None:
    """Write a raw disk of ``size`` bytes: MBR, a bootable partition, no two blocks alike."""
    entry = (
        b"\x80\x20\x21\x00"  # active; the first sector as cylinder, head, sector
        b"\x83\xfe\xff\xff"  # Linux; the last sector, beyond what these can say
        + FIRST_SECTOR.to_bytes(4, "little")
        + (size // SECTOR - FIRST_SECTOR).to_bytes(4, "little")
    )
    halt = b"\xfa\xf4\xeb\xfd"  # cli, hlt and back: it starts, and does nothing
    file.write(halt.ljust(446, b"\0") + entry.ljust(64, b"\0") + b"\x55\xaa")
    filling = os.urandom(BLOCK)
    while (position := file.tell()) < size:
        stamped = position.to_bytes(8, "little") + filling[8:]
        file.write(stamped[: size - position])
    file.seek(0)


def detect(path: Path) -> str:
    """Tell the disk format of a file by what is in it, then by its extension."""
    by_extension = BY_EXTENSION.get(path.suffix.lower(), "raw")
    try:
        found = str(format_inspector.detect_file_format(str(path)))
    except format_inspector.ImageFormatError:
        return by_extension  # several: a bootable ISO is also a disk with an MBR
    # A partition table is not a disk format of the API: such a disk is raw.
    return by_extension if found in ("raw", "gpt") else found
