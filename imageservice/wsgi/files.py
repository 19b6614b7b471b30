"""Sending open files by the kernel, without holding up the process on a cold disk."""

import os
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

from imageservice.stores.driver import BLOCK, Workers
from imageservice.wsgi.transport import Transport

READ_IN = 256 * 1024
"""Bytes that a native thread reads at a time to bring them into memory."""


class OpenFile(NamedTuple):
    """Bytes of a file that is open under ``descriptor``."""

    descriptor: int
    offset: int
    length: int


class FileWrapper:
    """``wsgi.file_wrapper`` of PEP 3333: a file-like object as the body of an answer."""

    def __init__(self, filelike: BinaryIO, block_size: int = BLOCK) -> None:
        self._filelike = filelike
        self._block_size = block_size
        self.file = _opened(filelike)

    def __iter__(self) -> "FileWrapper":
        return self

    def __next__(self) -> bytes:
        data = self._filelike.read(self._block_size)
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        close: Any = getattr(
            self._filelike, "close", None
        )  # PEP 3333 asks for read() only
        if close is not None:
            close()


def _opened(filelike: BinaryIO) -> OpenFile | None:
    """Say what of a real file is left to read; None if it is something else."""
    try:
        descriptor = filelike.fileno()
        offset = filelike.tell()
        length = os.fstat(descriptor).st_size - offset
    except (AttributeError, OSError):
        return None
    return OpenFile(descriptor, offset, length) if length > 0 else None


def send(
    transport: Transport,
    workers: Workers,
    file: OpenFile,
    note: Callable[[int], object],
) -> int:
    """Send ``file`` and return the bytes sent, fewer if the file has become shorter.

    ``note`` is told how many bytes went out each time, also when the client then leaves.

    The socket never waits for the disk: what is not in memory is read by a native
    thread first. It takes no memory of ours, however many clients are slow.
    """
    descriptor, offset, left = file
    while left:
        count = min(left, BLOCK)
        if not _in_memory(descriptor, offset, count):
            workers.run(_read_in, descriptor, offset, count)
        sent = transport.sendfile(descriptor, offset, count)
        if sent == 0:
            break
        if sent is not None:
            note(sent)
            offset += sent
            left -= sent
    return file.length - left


def _in_memory(descriptor: int, offset: int, count: int) -> bool:
    """Look at the first and the last byte; the kernel reads ahead what is between."""
    byte = bytearray(1)
    try:
        os.preadv(descriptor, (byte,), offset, os.RWF_NOWAIT)
        os.preadv(descriptor, (byte,), offset + count - 1, os.RWF_NOWAIT)
    except OSError:  # EAGAIN: not in memory; EOPNOTSUPP: this file system cannot say
        return False
    return True


def _read_in(descriptor: int, offset: int, count: int) -> None:
    buffer = bytearray(min(count, READ_IN))
    end = offset + count
    while offset < end:
        read = os.preadv(descriptor, (buffer,), offset)
        if not read:
            break
        offset += read
