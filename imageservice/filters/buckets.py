"""Buckets of a rate limit, shared by the processes of a machine through a file.

A bucket is one number: the theoretical arrival time of the generic cell rate algorithm,
in nanoseconds of CLOCK_MONOTONIC, so that setting the clock changes nothing. The file is
mapped by all workers, has a fixed size and survives them (docs/adr/0014-rate-limit.md).
"""

import fcntl
import hashlib
import logging
import mmap
import os
import stat
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from imageservice import errors

LOG = logging.getLogger(__name__)

SECOND = 1_000_000_000
"""Nanoseconds."""

LONGEST_WAIT = SECOND
"""Nanoseconds to wait for another process that works on the table.

It does so for some microseconds; longer only when it was stopped in the middle.
"""

PAUSE_S = 0.0005

WAYS = 8
"""Slots in which a bucket may lie."""

_HEAD = struct.Struct("<16s16s16s16x")  # magic, boot, secret
_SLOT = struct.Struct("<16sq")  # digest of the bucket's name, arrival time
_ROW = struct.Struct("<" + "16sq" * WAYS)
_MAGIC = b"imageservice-rl1"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Rate(NamedTuple):
    """What a bucket lets through: ``burst`` requests at once, then one each ``interval``."""

    interval: int  # nanoseconds
    burst: int

    @classmethod
    def of(cls, per_second: float, burst: int) -> "Rate":
        return cls(max(1, round(SECOND / per_second)), burst)


class Table:
    """The buckets in one file, ``rows`` times ``WAYS`` of them.

    A bucket that is full again is the same as none, so its slot is free. When all slots
    of a row are taken the one that is the nearest to full is given away.

    Raises Misconfigured when the file cannot be made, or is somebody else's.
    """

    def __init__(
        self, path: Path, rows: int, *, now: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._path = path
        self._rows = rows
        self._now = now
        self._threads = threading.Lock()
        self._open()

    def take(self, name: bytes, rate: Rate) -> int:
        """Take one request out of a bucket.

        Returns 0 if there was one, else the nanoseconds until there is; then nothing
        is taken. Also 0 if another process does not let go of the table.
        """
        if self._process != os.getpid():
            # Forked after the file was opened: the lock would be our parent's, too.
            self._open()
        key = hashlib.blake2b(name, digest_size=16, key=self._secret).digest()
        at = _HEAD.size + int.from_bytes(key[:8]) % self._rows * _ROW.size
        give_up = time.monotonic_ns() + LONGEST_WAIT
        while True:
            with self._threads:
                if self._lock():
                    try:
                        return self._take(key, at, rate)
                    finally:
                        fcntl.flock(self._file, fcntl.LOCK_UN)
            if time.monotonic_ns() > give_up:
                LOG.warning("%s: held by a process that stands still", self._path)
                return 0
            time.sleep(PAUSE_S)

    def _lock(self) -> bool:
        """Lock the table; False if another process has done so.

        The kernel lets go of what a killed process held. Nobody waits inside the kernel,
        where a greenlet would keep all others waiting.
        """
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _take(self, key: bytes, at: int, rate: Rate) -> int:
        now = self._now()
        row = _ROW.unpack_from(self._map, at)
        keys, arrivals = row[::2], row[1::2]
        arrival = now
        if key in keys:
            slot = keys.index(key)
            # No sound entry is further ahead than this: it was written by halves.
            if arrivals[slot] <= now + rate.burst * rate.interval:
                arrival = max(now, arrivals[slot])
        else:
            slot = arrivals.index(min(arrivals))
        wait: int = arrival - now - (rate.burst - 1) * rate.interval
        if wait > 0:
            return wait
        _SLOT.pack_into(self._map, at + slot * _SLOT.size, key, arrival + rate.interval)
        return 0

    # --- the file ----------------------------------------------------------------

    def _open(self) -> None:
        size = _HEAD.size + self._rows * _ROW.size
        try:
            self._file = _private_file(self._path)
            # All of it now: without room later a write into the map would kill us.
            os.posix_fallocate(self._file, 0, size)
        except OSError as error:
            raise errors.Misconfigured(
                reason=f"rate limit: {self._path}: {error.strerror or error}. Name a"
                " folder that only this service writes to."
            ) from error
        self._process = os.getpid()
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._map = mmap.mmap(self._file, size)
        boot = _boot()
        magic, since, self._secret = _HEAD.unpack_from(self._map)
        if (magic, since) != (_MAGIC, boot):
            # Times of another boot mean nothing. The secret keeps anybody from choosing
            # names that lie in one row.
            self._secret = os.urandom(16)
            self._map[_HEAD.size :] = bytes(size - _HEAD.size)
            _HEAD.pack_into(self._map, 0, _MAGIC, boot, self._secret)
        fcntl.flock(self._file, fcntl.LOCK_UN)


def _private_file(path: Path) -> int:
    """Open a file that is ours alone, in a folder that is. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_ours(path.parent.stat())
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(path, flags, 0o600)
    try:
        _check_ours(os.fstat(file))
    except OSError:
        os.close(file)
        raise
    return file


def _check_ours(found: os.stat_result) -> None:
    is_open = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if found.st_uid != os.geteuid() or is_open:
        raise PermissionError("belongs to somebody else, or others may write to it")


def _boot() -> bytes:
    """Tell boots of the machine apart, as far as the system does."""
    try:
        text = _BOOT.read_bytes()
    except OSError:
        text = b""
    return hashlib.blake2b(text, digest_size=16).digest()
