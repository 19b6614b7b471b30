"""The file store: finished data lies at ``<data folder>/<key>``, as plain files.

A write goes to a hidden name in the same folder and becomes visible, whole and synced,
by one hard link. So nothing half-written is ever seen, two writers of a key cannot both
win, and to remove the hidden name is to stop whoever still writes under it.

Data that comes from a file of the same file system is cloned where that can be done: then
it is read, for its digests, but not written.
"""

import contextlib
import errno
import functools
import logging
import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

from oslo_config import cfg

from imageservice import errors
from imageservice.stores import folders, layout
from imageservice.stores.chunks import (
    FileChunks,
    LocalChunks,
    can_tell,
    open_regular,
)
from imageservice.stores.driver import (
    BLOCK,
    Capability,
    Driver,
    Listed,
    Reader,
    Workers,
    Written,
    origin_of,
)
from imageservice.stores.files import Part, exists
from imageservice.stores.folders import Descriptor, Folder
from imageservice.stores.noting import Noting
from imageservice.stores.removals import Removals

LOG = logging.getLogger(__name__)

T = TypeVar("T")

SLOWEST = 1024 * 1024
"""Bytes per second that a disk does at least; so long an upload's last fsync may take."""

HANGING_S = 1.0
"""Seconds for an answer of a file system that owes one already."""


def _url(folder: Folder, key: str) -> str:
    return f"file://{folder.path}/{key}"


class File(Driver):
    """Files in one or several folders of this machine, or of a shared file system."""

    kind = "file"
    OPTS: Sequence[cfg.Opt] = layout.OPTS
    ALTERNATIVES = layout.ALTERNATIVES
    capabilities = (
        Capability.READ
        | Capability.RANGE
        | Capability.WRITE
        | Capability.DELETE
        | Capability.SIZE
        | Capability.THIN
        | Capability.LIST
    )

    def __init__(self, name: str, workers: Workers, plan: layout.Layout) -> None:
        super().__init__(name, workers)
        self._plan = plan
        self._patience = Noting(name, workers, plan.timeout_s, plan.may_hang)
        self._folders = [Folder(name, path, rank) for path, rank in plan.folders]
        self._removals = Removals(name, self._patience)

    @classmethod
    def configured(
        cls, name: str, options: Mapping[str, Any], workers: Workers
    ) -> Self:
        return cls(name, workers, layout.layout(name, options))

    def create(self) -> None:
        for folder in self._folders:
            if advice := self._call(folder.create, self._plan.passage):
                LOG.warning("store %s: %s", self.name, advice)

    def claims(self) -> list[str]:
        return [self._real(folder) for folder in self._folders]

    def _real(self, folder: Folder) -> str:
        """The folder's path without links; as configured if the file system hangs."""
        try:
            found: str = self._call(os.path.realpath, folder.path)
        except errors.NoAnswer as error:
            LOG.error("%s (%s)", error, folder)
            return folder.path
        return found

    def check(self) -> None:
        for folder in self._folders:
            self._call(self._check, folder)

    def _check(self, folder: Folder) -> None:
        folder.open()
        if not os.access(folder.path, os.W_OK):
            reason = "its data folder cannot be written"
            error = errors.StoreDenied(store=self.name, reason=reason)
            error.add_note(f"{folder} cannot be written")
            raise error

    def properties(self) -> dict[str, Any]:
        paths = [folder.path for folder in self._folders]
        return {
            "data_dir": paths[0] if len(paths) == 1 else paths,
            "chunk_size": self._plan.block,
            "thin_provisioning": self._plan.thin,
        }

    # --- writing ---

    def write(self, key: str, data: Reader, size: int | None) -> Written:
        folders.plain(self.name, key)
        folder = self._place(key, size)
        part = Part(self.name, folder, key, self._plan.mode)
        metadata = layout.metadata(self._plan, folder.path)
        try:
            self._call(part.open, None if self._plan.thin else size, origin_of(data))
            while block := data.read(self._plan.block):
                self._call(part.add, block, self._plan.thin)
            self._publish(part)
        except BaseException:
            self._abandon(part)
            raise
        # From here on nothing fails: the data is there.
        self._later(part.close)
        return Written(_url(folder, key), part.size, metadata)

    def _call(self, function: Callable[..., T], *args: Any) -> T:
        return self._patience.call(functools.partial(function, *args))

    def _publish(self, part: Part) -> None:
        publish = functools.partial(
            part.publish, self._gates(), self._others(part.folder)
        )
        self._patience.call(publish, self._plan.timeout_s + part.size / SLOWEST)

    def _abandon(self, part: Part) -> None:
        part.forsake()
        if not part.has_begun:
            return
        # Whoever waited for an answer already does not wait as long again.
        within_s = HANGING_S if self._patience.hangs else None
        try:
            self._patience.call(part.abandon, within_s)
        except BaseException as error:
            # Also what ends a greenlet: nobody would remove what it was about to.
            if isinstance(error, errors.NoAnswer):
                self._later(part.close)  # nobody else does that in a native thread now
            LOG.error(
                "store %s: a part is left in %s for now: %s",
                self.name,
                part.folder,
                error,
            )
            reason = "what was written could not be removed yet"
            raise errors.RemainsLeft(store=self.name, reason=reason) from error

    def _later(self, close: Callable[[], object]) -> None:
        """Have a file closed in a native thread: on a file system that hangs that waits."""
        with contextlib.suppress(RuntimeError):  # no room for one: closed as garbage
            self._patience.later(close)

    def _gates(self) -> list[Folder]:
        return self._folders if len(self._folders) > 1 else []

    def _others(self, folder: Folder) -> list[Folder]:
        return [other for other in self._folders if other is not folder]

    def _place(self, key: str, size: int | None) -> Folder:
        """Choose the folder for new data: highest priority, then most free space.

        Raises KeyExists, StoreFull, and StoreUnavailable if no folder is there.
        """
        rooms: list[tuple[int, int, Folder]] = []
        trouble: errors.Error | None = None
        for folder in self._folders:
            try:
                room = self._call(self._room, folder, key)
            except errors.NoAnswer:
                raise
            except errors.Unavailable as error:
                LOG.warning("%s", error)
                trouble = error
            else:
                rooms.append((folder.priority, room, folder))
        fitting = [room for room in rooms if size is None or size <= room[1]]
        if fitting:
            return max(fitting, key=lambda room: room[:2])[2]
        if not rooms and trouble:
            raise trouble
        most = max(room[1] for room in rooms)
        reason = f"{size} bytes are needed, {most} are free"
        raise errors.StoreFull(store=self.name, reason=reason)

    def _room(self, folder: Folder, key: str) -> int:
        """Bytes that may still be written there. Raises KeyExists."""
        if exists(folder, key):
            raise errors.KeyExists(store=self.name, key=key)
        return folders.free(folder.open())

    # --- reading ---

    def read(self, url: str, offset: int = 0, length: int | None = None) -> FileChunks:
        folder, key = self._locate(url)
        return self._call(self._chunks, folder, key, offset, length)

    def _chunks(
        self, folder: Folder, key: str, offset: int, length: int | None
    ) -> FileChunks:
        file, size = self._open(folder, key)
        wanted = size - offset if length is None else length
        if wanted < 0 or offset + wanted > size:
            reason = f"{key} has {size} bytes, fewer than it should"
            raise errors.StoreUnavailable(store=self.name, reason=reason)
        if size > BLOCK:
            os.posix_fadvise(file.number, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        kind = LocalChunks if can_tell(file) else FileChunks
        return kind(self.name, self._patience, file, offset, wanted)

    def size(self, url: str) -> int:
        folder, key = self._locate(url)
        return self._call(self._size, folder, key)

    def _size(self, folder: Folder, key: str) -> int:
        return self._open(folder, key)[1]

    def _open(self, folder: Folder, key: str) -> tuple[Descriptor, int]:
        with folders.translated(self.name, str(folder)):
            try:
                file, status = open_regular(folder.open(), key)
            except OSError as error:
                raise self._explained(error, key) from error
        return file, status.st_size

    def _explained(self, error: OSError, key: str) -> Exception:
        if error.errno == errno.ENOENT:
            return errors.KeyNotFound(store=self.name, key=key)
        if error.errno == errno.ELOOP:
            return errors.LocationInvalid(store=self.name)
        return error

    def _locate(self, url: str) -> tuple[Folder, str]:
        """Find the folder and the key of a location that must be one of ours.

        The path is taken literally, as the incumbent wrote it: no percent signs are
        decoded. Raises LocationInvalid.
        """
        scheme, _, path = url.partition("://")
        parent, _, key = path.rpartition("/")
        if scheme.lower() in ("file", "filesystem"):
            folders.plain(self.name, key)
            parent = os.path.normpath(parent)
            for path_of in (operator.attrgetter("path"), self._real):
                for folder in self._folders:
                    if parent == path_of(folder):
                        return folder, key
        raise errors.LocationInvalid(store=self.name)

    def listing(self) -> Iterator[Listed]:
        for folder in self._folders:
            found = self._call(folders.Contents, self.name, folder)
            while names := self._call(found.some):
                for name, status in names:
                    yield self._listed(folder, name, status, found.now)

    def _listed(
        self, folder: Folder, name: str, status: os.stat_result, now: float
    ) -> Listed:
        key = folders.temporary_of(name)
        url = "" if key else _url(folder, name)
        # Not the time of the last write, which can be set: this is when it got its name.
        return Listed(key or name, url, status.st_size, now - status.st_ctime)

    def canonical(self, url: str) -> str:
        folder, key = self._locate(url)
        return _url(folder, key)

    # --- removing ---

    def delete(self, url: str) -> None:
        folder, key = self._locate(url)
        try:
            self._call(self._size, folder, key)
            self._removals.remove(folder, key)
        except errors.NoAnswer as error:
            # Or it would be RemainsLeft.
            reason = error.values["reason"]
            raise errors.NotBegun(store=self.name, reason=reason) from error

    def discard(self, key: str) -> None:
        folders.plain(self.name, key)
        trouble: errors.Error | None = None
        for folder in self._folders:
            try:
                self._removals.discard(folder, key)
            except errors.Error as error:
                trouble = error
        if trouble:
            raise trouble
