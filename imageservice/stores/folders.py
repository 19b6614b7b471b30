"""The data folders of a file store: opening them, choosing one, never making one up."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator

from imageservice import errors

MARK = ".imageservice-store"
"""An empty file in every data folder, made together with the folder.

A folder without it is not ours, whatever its name: its disk is not mounted, and what
lies there is the empty mount point.
"""

LONGEST_KEY = 200
"""Bytes; with the token of a temporary name it stays below the 255 of file systems."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextlib.contextmanager
def translated(store: str, place: str) -> Iterator[None]:
    """Turn what the operating system says into store errors.

    Where it happened is the operator's business and goes to the log, as a note of the
    error: callers read the rest. See ``noting.Noting``.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or "failed"
        error.add_note(f"{reason} in {place}")
        if error.errno in FULL:
            raise errors.StoreFull(store=store, reason=reason) from error
        if error.errno in DENIED:
            raise errors.StoreDenied(store=store, reason=reason) from error
        raise errors.StoreUnavailable(store=store, reason=reason) from error


class Descriptor:
    """An open file that is closed when nobody refers to it any more, and not before.

    A request can be given up while a native thread is still on its way to write for it.
    Were the number closed then, the thread would write into whatever file got the same
    number next; as it is, the thread's own reference keeps the file open.
    """

    __slots__ = ("number",)

    def __init__(
        self, path: str, flags: int, mode: int = 0, *, within: int | None = None
    ):
        self.number = -1
        self.number = os.open(path, flags, mode, dir_fd=within)

    def fileno(self) -> int:
        return self.number

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)


class Folder:
    """One data folder. Every use opens it anew: it may have gone, or come back."""

    def __init__(self, store: str, path: str, priority: int = 0) -> None:
        self.path = os.path.normpath(path)
        self.priority = priority
        self._store = store

    def __str__(self) -> str:
        return self.path

    def create(self, passage: int = 0) -> str | None:
        """Make the folder, or make one that is there ours; see ``Driver.create``.

        ``passage`` is what its permissions are to have besides, see ``Layout.passage``.
        Returns what the operator has to do for that, None if it is done.
        """
        with translated(self._store, self.path):
            os.makedirs(self.path, mode=0o750, exist_ok=True)
            folder = Descriptor(self.path, os.O_RDONLY | os.O_DIRECTORY)
            advice = self._let_pass(folder, passage)
            Descriptor(MARK, os.O_CREAT | os.O_WRONLY, 0o640, within=folder.number)
            os.fsync(folder.number)
        return advice

    def _let_pass(self, folder: Descriptor, passage: int) -> str | None:
        mode = stat.S_IMODE(os.fstat(folder.number).st_mode)
        if passage & ~mode:
            try:
                os.fchmod(folder.number, mode | passage)
            except PermissionError:
                return f"{self} belongs to another user: chmod it to {mode | passage:o}"
        return None

    def open(self) -> Descriptor:
        """Open the folder, sure that it is the one we know.

        Raises StoreUnavailable when it has gone, StoreDenied when it may not be read.
        """
        with translated(self._store, self.path):
            try:
                found = Descriptor(self.path, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError as error:
                raise self._gone("is missing") from error
            try:
                os.stat(MARK, dir_fd=found.number, follow_symlinks=False)
            except FileNotFoundError as error:
                how = f"has no {MARK}: its disk is not mounted, or it is not ours yet"
                raise self._gone(how) from error
        return found

    def _gone(self, how: str) -> errors.StoreUnavailable:
        reason = f"its data folder {how}"
        error = errors.StoreUnavailable(store=self._store, reason=reason)
        error.add_note(
            f"data folder {self.path} {how}. It is not made anew, because images may lie in "
            "the real one: mount it, or run 'imageservice-manage stores create' if it is "
            "new or taken over"
        )
        return error


def free(folder: Descriptor) -> int:
    """Bytes that may still be written."""
    room = os.fstatvfs(folder.number)
    return room.f_bavail * room.f_frsize


def plain(store: str, key: str) -> str:
    """Return ``key`` if it can be the name of a file of ours.

    Raises LocationInvalid for what could lead out of the folder, hide in it, or not be
    written in a URL: slashes, leading dots, control characters, too many bytes.
    """
    ok = key and key.isprintable() and "/" not in key and not key.startswith(".")
    if not ok or len(key.encode()) > LONGEST_KEY:
        raise errors.LocationInvalid(store=store)
    return key


def temporary(key: str, token: str) -> str:
    """The hidden name under which the bytes of ``key`` are written."""
    return f".{key}.{token}"


_TEMPORARY = re.compile(r"\.(?P<key>[^.].*)\.[0-9a-f]{16}")


def temporary_of(name: str) -> str | None:
    """The key under whose temporary name a file lies; None if the name is no such."""
    found = _TEMPORARY.fullmatch(name)
    return found["key"] if found else None


class Contents:
    """What lies in a folder, looked through a bit at a time.

    ``now`` is the time by the clock of its file system, which may be another machine's.
    """

    FEW = 1000

    def __init__(self, store: str, folder: Folder) -> None:
        self._store = store
        self._folder = folder
        with translated(store, folder.path):
            within = self._within = folder.open()  # entries are looked up in it
            os.utime(MARK, dir_fd=within.number, follow_symlinks=False)
            mark = os.stat(MARK, dir_fd=within.number, follow_symlinks=False)
            self.now = mark.st_mtime
            self._entries = os.scandir(within.number)

    def some(self) -> list[tuple[str, os.stat_result]]:
        """The next files of ours, finished or not; none at the end."""
        found: list[tuple[str, os.stat_result]] = []
        with translated(self._store, self._folder.path):
            for entry in self._entries:
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    if _is_ours(entry):
                        found.append((entry.name, entry.stat(follow_symlinks=False)))
                if len(found) == self.FEW:
                    break
        return found


def _is_ours(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    if name.startswith(".") and not temporary_of(name):
        return False
    return name.isprintable() and entry.is_file(follow_symlinks=False)


def temporaries(folder: Descriptor, key: str) -> list[str]:
    """The hidden names of ``key`` that lie in the folder, and of no other key."""
    ours = re.compile(rf"\.{re.escape(key)}\.[0-9a-f]{{16}}")
    return [name for name in os.listdir(folder.number) if ours.fullmatch(name)]


def remove(folder: Descriptor, name: str) -> bool:
    """Remove a name; returns whether it was there."""
    try:
        os.unlink(name, dir_fd=folder.number)
    except FileNotFoundError:
        return False
    return True
