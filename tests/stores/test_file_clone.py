"""Copies between file stores of one file system share their blocks, where it can do that."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from imageservice import errors
from imageservice.data.readers import Announced, Poured
from imageservice.stores.driver import BLOCK
from imageservice.stores.filesystem import File
from imageservice.stores.folders import MARK
from imageservice.stores.testing import Threads, pattern, read_all
from tests import databases
from tests.care.place import Place
from tests.stores.disks import file_system, memory_disk, used

SIZE = 64 * BLOCK
LITTLE = 2 * BLOCK
"""Bytes that a file system may take for its own ends meanwhile."""


@pytest.fixture(scope="module")
def xfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("xfs")
    with file_system(folder / "disk", "xfs", 1024 * BLOCK) as at:
        yield at


@pytest.fixture
def disk(xfs: Path, tmp_path: Path) -> Path:
    """A folder on a file system that can clone."""
    folder = xfs / tmp_path.name
    folder.mkdir()
    return folder


def a_store(folder: Path, **options: object) -> File:
    options["filesystem_store_datadir"] = str(folder)
    driver = File.configured(folder.name, options, Threads())
    driver.create()
    return driver


def copied(source: File, url: str, target: File, *span: int) -> str:
    """Copy what lies at ``url``; returns where it lies then."""
    with contextlib.closing(source.read(url, *span)) as chunks:
        return target.write("copy", Poured(chunks), None).url


def stored(driver: File, data: bytes) -> str:
    return driver.write("key", Poured([data]), len(data)).url


# --- what an operator sees ---


def test_a_copied_image_takes_no_room_of_its_own(disk: Path, tmp_path: Path) -> None:
    with databases.ready("sqlite", tmp_path) as url:
        place = Place(disk, url)
        image = place.upload("near", data=os.urandom(SIZE))
        before = used(disk)

        assert place.manage("copy", "--to", "far", "--all").code == 0

        assert used(disk) - before < LITTLE
        assert place.file("far", image).stat().st_size == SIZE
        assert place.audit("--digest").findings == []
        # Each is a file of its own: it stays when the other one goes.
        assert place.manage("drain", "near", "--to", "spare").code == 0
        assert place.held("near") == []
        assert place.audit("--digest").findings == []
        assert used(disk) - before < LITTLE


def test_a_clone_of_bytes_that_changed_is_not_kept(disk: Path, tmp_path: Path) -> None:
    with databases.ready("sqlite", tmp_path) as url:
        place = Place(disk, url)
        image = place.upload("near", data=bytes(SIZE))
        with place.file("near", image).open("r+b") as file:
            file.write(b"x")

        assert place.manage("copy", "--to", "far", "--all").code == 3

        assert place.held("far") == []


# --- what the driver does ---


def test_a_clone_that_is_broken_off_leaves_nothing(disk: Path) -> None:
    source, target = a_store(disk / "a"), a_store(disk / "b")
    url = stored(source, os.urandom(SIZE))
    before = used(disk)

    with contextlib.closing(source.read(url)) as chunks:
        short = Announced(Poured(chunks), SIZE + 1)
        with pytest.raises(errors.SizeMismatch):
            target.write("copy", short, SIZE + 1)

    assert os.listdir(disk / "b") == [MARK]
    assert used(disk) - before < LITTLE


def test_a_thin_clone_has_no_zeros_either(disk: Path) -> None:
    source = a_store(disk / "thick")
    target = a_store(disk / "thin", filesystem_thin_provisioning=True)
    data = pattern(BLOCK) + bytes(SIZE) + pattern(BLOCK)
    url = stored(source, data)

    copy = copied(source, url, target)

    taken = (disk / "thin" / "copy").stat().st_blocks * 512
    assert taken <= 2 * BLOCK + 128 * 1024
    assert read_all(target, copy) == data
    assert read_all(source, url) == data


def test_a_part_that_begins_within_a_block_is_written(disk: Path) -> None:
    source, target = a_store(disk / "a"), a_store(disk / "b")
    url = stored(source, pattern(3 * BLOCK))

    copy = copied(source, url, target, 5, BLOCK)

    assert read_all(target, copy) == pattern(3 * BLOCK)[5 : BLOCK + 5]


# --- file systems that cannot ---


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    with memory_disk(tmp_path / "memory", str(3 * SIZE)) as at:
        yield at


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Path]:
    with file_system(tmp_path / "ext4", "ext4", 4 * SIZE) as at:
        yield at


@pytest.mark.parametrize("thin", [False, True], ids=["thick", "thin"])
@pytest.mark.parametrize(
    ("one", "other"),
    [("memory", "memory"), ("ext4", "ext4"), ("disk", "ext4"), ("ext4", "memory")],
)
def test_elsewhere_the_bytes_are_written(
    request: pytest.FixtureRequest, one: str, other: str, thin: bool
) -> None:
    here, there = (request.getfixturevalue(name) for name in (one, other))
    source = a_store(here / "a")
    target = a_store(there / "b", filesystem_thin_provisioning=thin)
    data = bytes(SIZE // 2) + os.urandom(SIZE // 2)
    url = stored(source, data)
    before = used(there)

    copy = copied(source, url, target)

    assert read_all(target, copy) == data
    taken = used(there) - before
    assert abs(taken - (SIZE // 2 if thin else SIZE)) < LITTLE
