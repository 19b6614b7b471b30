"""The bytes of a finished file of a file store, for whoever reads them."""

import errno
import functools
import os
import stat
from collections.abc import Iterator

from imageservice import errors
from imageservice.stores import folders
from imageservice.stores.driver import BLOCK, Origin
from imageservice.stores.folders import Descriptor
from imageservice.stores.patience import Patience


class FileChunks:
    """The bytes ``offset`` to ``offset + length`` of a finished file."""

    def __init__(
        self, store: str, patience: Patience, file: Descriptor, offset: int, length: int
    ) -> None:
        self._store = store
        self._patience = patience
        self._file: Descriptor | None = file
        self._offset = offset
        self._length = length

    def __iter__(self) -> Iterator[bytes]:
        offset = self._offset
        end = offset + self._length
        while offset < end and self._file is not None:
            count = min(BLOCK, end - offset)
            block = self._patience.call(
                functools.partial(self._block, self._file, offset, count)
            )
            yield block
            offset += len(block)

    def _block(self, file: Descriptor, offset: int, count: int) -> bytes:
        with folders.translated(self._store, "reading"):
            block = os.pread(file.number, count, offset)
        if not block:
            reason = "the data ends before it should"
            raise errors.StoreUnavailable(store=self._store, reason=reason)
        return block

    @property
    def origin(self) -> Origin | None:
        if self._file is None:
            return None
        return Origin(self._file, self._offset, self._length)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self._patience.later([file].clear)  # to close a file may hang, too


class LocalChunks(FileChunks):
    """``FileChunks`` that the server may send by itself; see ``can_tell``."""

    def __init__(
        self, store: str, patience: Patience, file: Descriptor, offset: int, length: int
    ) -> None:
        super().__init__(store, patience, file, offset, length)
        self.file = (file.number, offset, length)

    def close(self) -> None:
        self._file = None


def can_tell(file: Descriptor) -> bool:
    """Tell whether the kernel can say that a read would have to wait for the disk.

    It can for file systems of this machine, not for those of a network or of FUSE. Those
    may hang in any call, also for what is in memory, so only native threads may read.
    """
    try:
        os.preadv(file.number, (bytearray(1),), 0, os.RWF_NOWAIT)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return True


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
