"""The files of a file store: one that is being written, and one that is being read."""

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator

from imageservice import errors
from imageservice.stores import folders
from imageservice.stores.driver import BLOCK, Buffer, Workers
from imageservice.stores.folders import Descriptor, Folder

WRITEBACK = 8 * BLOCK
"""Bytes after which the disk is set to work, so that the last fsync finds little to do."""

HOLE = 64 * 1024
"""Bytes of zeros that make a hole in a thin file; 16 blocks of most file systems."""

ZEROS = bytes(HOLE)

NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class Part:
    """A file that is being written, under a name that nobody reads.

    All methods run in native threads. ``abandon`` may come while one of them is still
    under way in another thread, because its request was given up; it wins.
    """

    def __init__(self, store: str, folder: Folder, key: str, mode: int) -> None:
        self.folder = folder
        self.size = 0  # bytes written so far
        self._store = store
        self._key = key
        self._mode = mode
        self._name = folders.temporary(key, secrets.token_hex(8))
        self._abandoned = False
        self._flushed = 0
        self._reserved = 0  # bytes of room
        self._within: Descriptor | None = None
        self._file: Descriptor | None = None

    def open(self, size: int | None) -> None:
        """Create the file; ``size`` bytes of room are kept for it. Raises StoreFull."""
        with folders.translated(self._store, str(self.folder)):
            within = self._within = self.folder.open()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            mode = 0o600 if self._mode else 0o640
            file = Descriptor(self._name, flags, mode, within=within.number)
            self._file = file
            if self._abandoned:
                folders.remove(within, self._name)
            if size:
                self._reserved = preallocate(file, size)

    def _opened(self) -> tuple[Descriptor, Descriptor]:
        """The folder and the file, kept open by whoever holds what this returns."""
        within, file = self._within, self._file
        if within is None or file is None:
            raise errors.LeaseLost(image_id=self._key)
        return within, file

    def add(self, block: Buffer, thin: bool) -> None:
        """Write ``block`` behind what is there."""
        _, file = self._opened()
        with folders.translated(self._store, str(self.folder)):
            for offset, piece in dense(memoryview(block)) if thin else [(0, block)]:
                write_all(file, memoryview(piece), self.size + offset)
            self.size += len(block)
            if self.size - self._flushed >= WRITEBACK:
                start_writeback(file, self._flushed, self.size - self._flushed)
                self._flushed = self.size

    def publish(self, gates: list[Folder], others: list[Folder]) -> None:
        """Make the file visible under its key, whole and safe on the disk.

        With several folders, all writers lock the first of ``gates`` that is there for a
        moment, so that no two of them give one key to files in different folders.

        Raises KeyExists, and LeaseLost if somebody discarded the file meanwhile.
        """
        within, file = self._opened()
        with folders.translated(self._store, str(self.folder)):
            if self._reserved != self.size:  # a hole at the end, or room not needed
                os.ftruncate(file.number, self.size)
            if self._mode:
                os.fchmod(file.number, self._mode)
            os.fsync(file.number)
            with locked(gates):
                if any(exists(folder, self._key) for folder in others):
                    raise errors.KeyExists(store=self._store, key=self._key)
                self._link(within)
            os.fsync(within.number)

    def _link(self, within: Descriptor) -> None:
        place = {"src_dir_fd": within.number, "dst_dir_fd": within.number}
        try:
            os.link(self._name, self._key, follow_symlinks=False, **place)
        except FileExistsError as error:
            raise errors.KeyExists(store=self._store, key=self._key) from error
        except FileNotFoundError as error:
            raise errors.LeaseLost(image_id=self._key) from error
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            self._rename(within)
        else:
            folders.remove(within, self._name)

    def _rename(self, within: Descriptor) -> None:
        """As ``_link``, on file systems without hard links; two writers may race here."""
        if exists_in(within, self._key):
            raise errors.KeyExists(store=self._store, key=self._key)
        try:
            os.rename(
                self._name,
                self._key,
                src_dir_fd=within.number,
                dst_dir_fd=within.number,
            )
        except FileNotFoundError as error:
            raise errors.LeaseLost(image_id=self._key) from error

    def abandon(self) -> None:
        """Leave nothing of it, whatever has been reached; a running method fails."""
        self._abandoned = True
        if self._file is None:
            return
        within, file = self._opened()
        self._within = self._file = None
        folders.remove(within, self._name)
        if self._is_ours(within, file):
            folders.remove(within, self._key)
        # A traceback on its way to the caller still holds the file open, for seconds at
        # times: without this its room would stay taken until then.
        os.ftruncate(file.number, 0)
        os.fsync(within.number)

    def _is_ours(self, within: Descriptor, file: Descriptor) -> bool:
        try:
            there = os.stat(self._key, dir_fd=within.number, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(file.number))


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


def exists_in(folder: Descriptor, key: str) -> bool:
    try:
        os.stat(key, dir_fd=folder.number, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def exists(folder: Folder, key: str) -> bool:
    """Tell whether finished data lies there; a folder that has gone holds none."""
    try:
        return exists_in(folder.open(), key)
    except errors.StoreUnavailable:
        return False


@contextlib.contextmanager
def locked(gates: list[Folder]) -> Iterator[None]:
    """Keep other writers, also of other processes, from making anything visible."""
    held = _first_there(gates)
    if held is None:
        yield
        return
    fcntl.flock(held.number, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(held.number, fcntl.LOCK_UN)


def _first_there(folders_: list[Folder]) -> Descriptor | None:
    for folder in folders_:
        with contextlib.suppress(errors.StoreUnavailable):
            return folder.open()
    return None


def dense(block: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Cut ``block`` into its runs that are not all zeros, each with its offset."""
    start: int | None = None
    for offset in range(0, len(block), HOLE):
        piece = block[offset : offset + HOLE]
        # The ends first: they decide at once for nearly all that is not a hole.
        empty = not (piece[0] or piece[-1]) and bytes(piece) == ZEROS[: len(piece)]
        if empty and start is not None:
            yield start, block[start:offset]
            start = None
        elif not empty and start is None:
            start = offset
    if start is not None:
        yield start, block[start:]


_libc = ctypes.CDLL(None, use_errno=True)

KEEP_SIZE = 1
"""``FALLOC_FL_KEEP_SIZE`` of fallocate(2)."""


def preallocate(file: Descriptor, size: int) -> int:
    """Reserve ``size`` bytes on the disk; returns how many were.

    The file's length stays what is written: to write behind the end takes half the CPU
    of writing into reserved blocks within the file (ext4: 0.20 for 0.40 s per GiB).
    Not os.posix_fallocate: where the file system cannot do it, that one writes into
    every block instead. Raises OSError, ENOSPC above all.
    """
    reserve = getattr(_libc, "fallocate64", None) or getattr(_libc, "fallocate", None)
    if reserve is None:
        return 0
    wide = ctypes.c_int64
    if reserve(file.number, KEEP_SIZE, wide(0), wide(size)) == 0:
        return size
    number = ctypes.get_errno()
    if number in folders.FULL:
        raise OSError(number, os.strerror(number))
    return 0


class FileChunks:
    """The bytes ``offset`` to ``offset + length`` of a finished file.

    ``file`` lets the server send them by itself: descriptor, offset, length.
    """

    def __init__(
        self, store: str, workers: Workers, file: Descriptor, offset: int, length: int
    ) -> None:
        self.file = (file.number, offset, length)
        self._store = store
        self._workers = workers
        self._file: Descriptor | None = file

    def __iter__(self) -> Iterator[bytes]:
        _, offset, length = self.file
        end = offset + length
        while offset < end and self._file is not None:
            count = min(BLOCK, end - offset)
            block = self._workers.run(self._block, self._file, offset, count)
            yield block
            offset += len(block)

    def _block(self, file: Descriptor, offset: int, count: int) -> bytes:
        with folders.translated(self._store, "reading"):
            block = os.pread(file.number, count, offset)
        if not block:
            reason = "the data ends before it should"
            raise errors.StoreUnavailable(store=self._store, reason=reason)
        return block

    def close(self) -> None:
        self._file = None


def open_regular(folder: Descriptor, name: str) -> tuple[Descriptor, os.stat_result]:
    """Open a file for reading, if it is one: no link, no pipe, no folder.

    Raises OSError; ELOOP for anything but a regular file.
    """
    # A pipe would keep the opener waiting; O_NONBLOCK changes nothing for files.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    file = Descriptor(name, flags, within=folder.number)
    status = os.fstat(file.number)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return file, status
