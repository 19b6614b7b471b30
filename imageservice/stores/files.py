"""A file of a file store while it is being written, and how it becomes visible."""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator

from imageservice import errors
from imageservice.stores import disk, folders
from imageservice.stores.driver import BLOCK, Buffer, Origin
from imageservice.stores.folders import Descriptor, Folder

WRITEBACK = 8 * BLOCK
"""Bytes after which the disk is set to work, so that the last fsync finds little to do."""

NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class Part:
    """A file that is being written, under a name that nobody reads.

    All methods but ``forsake`` run in native threads. ``abandon`` may come while one of
    them is still under way in another thread, because its request was given up; it wins.
    """

    def __init__(self, store: str, folder: Folder, key: str, mode: int) -> None:
        self.folder = folder
        self.size = 0  # bytes written so far
        self._store = store
        self._key = key
        self._mode = mode
        self._name = folders.temporary(key, secrets.token_hex(8))
        self._abandoned = False
        self._is_making = False  # it may come to be there at any time
        self._flushed = 0
        self._length = 0  # bytes of the file, or of the room that was reserved for it
        self._cloned = 0  # bytes that need not be written
        self._within: Descriptor | None = None
        self._file: Descriptor | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there may be something on the disk."""
        return self._within is not None

    def open(self, size: int | None, origin: Origin | None = None) -> None:
        """Create the file, as a clone of ``origin`` if its file system can do that.

        Otherwise ``size`` bytes of room are kept for it. Raises StoreFull.
        """
        with folders.translated(self._store, str(self.folder)):
            within = self._within = self.folder.open()
            file = self._file = self._created(within)
            if self._abandoned:
                self._file = None
                folders.remove(within, self._name)
                raise errors.LeaseLost(image_id=self._key)
            if origin and disk.clone(file, origin):
                self._length = self._cloned = origin.length
            elif size:
                self._length = disk.preallocate(file, size)

    def _created(self, within: Descriptor) -> Descriptor:
        self._is_making = True
        try:
            # In this order: ``abandon`` says so first, and then looks whether it is made.
            if self._abandoned:
                raise errors.LeaseLost(image_id=self._key)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            mode = 0o600 if self._mode else 0o640
            return Descriptor(self._name, flags, mode, within=within.number)
        finally:
            self._is_making = False

    def _opened(self) -> tuple[Descriptor, Descriptor]:
        """The folder and the file, kept open by whoever holds what this returns."""
        within, file = self._within, self._file
        if within is None or file is None:
            raise errors.LeaseLost(image_id=self._key)
        return within, file

    def add(self, block: Buffer, thin: bool) -> None:
        """Write ``block`` behind what is there, unless it is there already."""
        _, file = self._opened()
        with folders.translated(self._store, str(self.folder)):
            self._add(file, memoryview(block), thin)
        self.size += len(block)

    def _add(self, file: Descriptor, block: memoryview, thin: bool) -> None:
        end = self.size + len(block)
        if end <= self._cloned:
            for offset, length in disk.hollow(block) if thin else ():
                disk.punch(file, self.size + offset, length)
            return
        for offset, piece in disk.dense(block) if thin else [(0, block)]:
            disk.write_all(file, piece, self.size + offset)
        if end - self._flushed >= WRITEBACK:
            disk.start_writeback(file, self._flushed, end - self._flushed)
            self._flushed = end

    def publish(self, gates: list[Folder], others: list[Folder]) -> None:
        """Make the file visible under its key, whole and safe on the disk.

        With several folders, all writers lock the first of ``gates`` that is there for a
        moment, so that no two of them give one key to files in different folders.

        Raises KeyExists, and LeaseLost if somebody discarded the file meanwhile.
        """
        within, file = self._opened()
        with folders.translated(self._store, str(self.folder)):
            if self._length != self.size:  # a hole at the end, or room not needed
                os.ftruncate(file.number, self.size)
            if self._mode:
                os.fchmod(file.number, self._mode)
            os.fsync(file.number)
            with locked(gates):
                if any(exists(folder, self._key) for folder in others):
                    raise errors.KeyExists(store=self._store, key=self._key)
                self._link(within)
            os.fsync(within.number)

    def close(self) -> None:
        """Let go of the file, published or left."""
        self._within = self._file = None

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

    def forsake(self) -> None:
        """Have what is still under way fail at the next opportunity."""
        self._abandoned = True

    def abandon(self) -> None:
        """Leave nothing of it, whatever has been reached; a running method fails.

        Raises StoreUnavailable or OSError if something is left, or may come to be.
        """
        self.forsake()
        within, file = self._within, self._file
        self._within = self._file = None
        if within is None:
            return
        # Also without a file: to create one may fail when it is there already.
        if exists_in(within, self._name):
            folders.remove(within, self._name)
        if file is not None:
            if self._is_ours(within, file):
                folders.remove(within, self._key)
            # A traceback on its way to the caller still holds the file open, for seconds
            # at times: without this its room would stay taken until then.
            os.ftruncate(file.number, 0)
            os.fsync(within.number)
        if self._is_making:
            reason = "it hangs in making a file"
            raise errors.StoreUnavailable(store=self._store, reason=reason)

    def _is_ours(self, within: Descriptor, file: Descriptor) -> bool:
        try:
            there = os.stat(self._key, dir_fd=within.number, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(file.number))


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
