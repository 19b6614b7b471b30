"""What a file takes of its disk: written, reserved, shared, left out where it is zeros."""

import contextlib
import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator

from imageservice.stores import folders
from imageservice.stores.driver import Origin
from imageservice.stores.folders import Descriptor

HOLE = 64 * 1024
"""Bytes of zeros that make a hole in a thin file; 16 blocks of most file systems."""

ZEROS = bytes(HOLE)


def write_all(file: Descriptor, piece: memoryview, offset: int) -> None:
    while piece:
        count = os.pwrite(file.number, piece, offset)
        piece = piece[count:]
        offset += count


def start_writeback(file: Descriptor, offset: int, length: int) -> None:
    """Let the disk begin with what was written, without waiting for it.

    Python has no sync_file_range; of this advice the kernel does the first half, it
    starts writing the range, and cannot do the second, to drop pages not yet clean.
    Measured: 1 GiB needs 0.0 s of fsync at the end, was 0.3 s.
    """
    with contextlib.suppress(OSError):
        os.posix_fadvise(file.number, offset, length, os.POSIX_FADV_DONTNEED)


def dense(block: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Cut ``block`` into its runs that are not all zeros, each with its offset."""
    for offset, length, is_hollow in _runs(block):
        if not is_hollow:
            yield offset, block[offset : offset + length]


def hollow(block: memoryview) -> Iterator[tuple[int, int]]:
    """The runs of zeros that ``dense`` leaves out: offset and length of each."""
    for offset, length, is_hollow in _runs(block):
        if is_hollow:
            yield offset, length


def _runs(block: memoryview) -> Iterator[tuple[int, int, bool]]:
    """Runs of pieces alike: offset, length, and whether they are all zeros."""
    start, was_hollow = 0, False
    for offset in range(0, len(block), HOLE):
        is_hollow = _is_hollow(block[offset : offset + HOLE])
        if offset and is_hollow != was_hollow:
            yield start, offset - start, was_hollow
            start = offset
        was_hollow = is_hollow
    if start < len(block):
        yield start, len(block) - start, was_hollow


def _is_hollow(piece: memoryview) -> bool:
    # The ends first: they decide at once for nearly all that is not a hole.
    return not (piece[0] or piece[-1]) and bytes(piece) == ZEROS[: len(piece)]


_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = getattr(_libc, "fallocate64", None) or getattr(_libc, "fallocate", None)

KEEP_SIZE = 1
PUNCH_HOLE = 2
"""``FALLOC_FL_…`` of fallocate(2)."""


def preallocate(file: Descriptor, size: int) -> int:
    """Reserve ``size`` bytes on the disk; returns how many were.

    The file's length stays what is written: to write behind the end takes half the CPU
    of writing into reserved blocks within the file (ext4: 0.20 for 0.40 s per GiB).
    Not os.posix_fallocate: where the file system cannot do it, that one writes into
    every block instead. Raises OSError, ENOSPC above all.
    """
    number = _allocate(file, KEEP_SIZE, 0, size)
    if number in folders.FULL:
        raise OSError(number, os.strerror(number))
    return 0 if number else size


def punch(file: Descriptor, offset: int, length: int) -> None:
    """Make a hole, if the file system can: what is there is zeros already."""
    _allocate(file, PUNCH_HOLE | KEEP_SIZE, offset, length)


def _allocate(file: Descriptor, mode: int, offset: int, length: int) -> int:
    """Call fallocate; returns 0, or the number of the error."""
    if _fallocate is None:
        return errno.ENOSYS
    wide = ctypes.c_int64
    failed = _fallocate(file.number, mode, wide(offset), wide(length))
    return ctypes.get_errno() if failed else 0


FICLONERANGE = 0x4020940D
"""The ioctl of ioctl_ficlonerange(2); its argument is a struct of CLONE_RANGE."""

CLONE_RANGE = struct.Struct("@qQQQ")  # file, offset, length, offset in the clone


def clone(file: Descriptor, origin: Origin) -> bool:
    """Make the empty ``file`` share the blocks of ``origin``; returns whether it does.

    Within one file system that can do so: XFS, btrfs, NFS 4.2 on one of them. No room is
    taken, but for what is written into either of them later.
    """
    there = (origin.file.fileno(), origin.offset, origin.length, 0)
    try:
        fcntl.ioctl(file.number, FICLONERANGE, CLONE_RANGE.pack(*there))
    except OSError:
        # Two file systems, or one that cannot. If it is anything worse, who then writes
        # the bytes will be told.
        return False
    return True
