"""A daemon as a newcomer starts it, and a disk image for the clients to carry."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon

MIB = 1024 * 1024


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """``imageservice-api`` without any configuration."""
    with Daemon(tmp_path_factory.mktemp("compat")) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def raw_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw disk of 5 MiB with a master boot record, like one that boots."""
    path = tmp_path_factory.mktemp("disks") / "disk.raw"
    with path.open("wb") as disk:
        partition = bytes.fromhex("80000201 83030820 00080000 00100000")
        disk.write(b"\xfa" * 446 + partition + bytes(48) + b"\x55\xaa")
        disk.seek(MIB)
        disk.write(bytes(range(256)) * 4 * 1024)
        disk.truncate(5 * MIB)
    return path


@pytest.fixture(scope="session")
def qcow2_disk(tmp_path_factory: pytest.TempPathFactory, raw_disk: Path) -> Path:
    """The raw disk as QEMU's own tool converts it."""
    path = tmp_path_factory.mktemp("disks") / "disk.qcow2"
    convert = ["qemu-img", "convert", "-O", "qcow2", str(raw_disk), str(path)]
    try:
        subprocess.run(convert, check=True)
    except FileNotFoundError:
        # Without QEMU: a small empty disk that it made once.
        return Path(__file__).parents[1] / "http" / "disk.qcow2"
    return path
