"""The file store: finished data lies at ``<data folder>/<key>``, as plain files.

A write goes to a hidden name in the same folder and becomes visible, whole and synced,
by one hard link. So nothing half-written is ever seen, two writers of a key cannot both
win, and to remove the hidden name is to stop whoever still writes under it.
"""

import errno
import functools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

from oslo_config import cfg

from imageservice import errors
from imageservice.stores import folders, layout
from imageservice.stores.driver import (
    BLOCK,
    Capability,
    Driver,
    Reader,
    Workers,
    Written,
)
from imageservice.stores.files import FileChunks, Part, exists, open_regular
from imageservice.stores.folders import Descriptor, Folder
from imageservice.stores.patience import Patience

LOG = logging.getLogger(__name__)

T = TypeVar("T")


class File(Driver):
    """Files in one or several folders of this machine, or of a shared file system."""

    kind = "file"
    OPTS: Sequence[cfg.Opt] = layout.OPTS
    capabilities = (
        Capability.READ
        | Capability.RANGE
        | Capability.WRITE
        | Capability.DELETE
        | Capability.SIZE
        | Capability.THIN
    )

    def __init__(self, name: str, workers: Workers, plan: layout.Layout) -> None:
        super().__init__(name, workers)
        self._plan = plan
        self._patience = Patience(name, workers, plan.timeout_s, plan.may_hang)
        self._folders = [Folder(name, path, rank) for path, rank in plan.folders]

    @classmethod
    def configured(
        cls, name: str, options: Mapping[str, Any], workers: Workers
    ) -> Self:
        return cls(name, workers, layout.layout(name, options))

    def create(self) -> None:
        for folder in self._folders:
            folder.create()

    def claims(self) -> list[str]:
        return [os.path.realpath(folder.path) for folder in self._folders]

    def check(self) -> None:
        for folder in self._folders:
            self._look(folder.open)
            if not os.access(folder.path, os.W_OK):
                LOG.error("store %s: %s cannot be written", self.name, folder)
                reason = "its data folder cannot be written"
                raise errors.StoreDenied(store=self.name, reason=reason)

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
        folder = self._look(self._place, key, size)
        part = Part(self.name, folder, key, self._plan.mode)
        try:
            self._run(part.open, None if self._plan.thin else size)
            while block := data.read(self._plan.block):
                self._run(part.add, block, self._plan.thin)
            self._run(part.publish, self._gates(), self._others(folder))
        except BaseException:
            self._abandon(part)
            raise
        url = f"file://{folder.path}/{key}"
        return Written(url, part.size, layout.metadata(self._plan, folder.path))

    def _run(self, function: Callable[..., T], *args: Any) -> T:
        return self.workers.run(function, *args)

    def _look(self, function: Callable[..., T], *args: Any) -> T:
        """As ``_run``, for calls that change nothing: they may time out."""
        return self._patience.call(functools.partial(function, *args))

    def _abandon(self, part: Part) -> None:
        try:
            self._run(part.abandon)
        except (OSError, errors.Error) as error:
            LOG.error(
                "store %s: a part is left in %s for now: %s",
                self.name,
                part.folder,
                error,
            )
            reason = "what was written could not be removed yet"
            raise errors.RemainsLeft(store=self.name, reason=reason) from error

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
                if exists(folder, key):
                    raise errors.KeyExists(store=self.name, key=key)
                rooms.append((folder.priority, folders.free(folder.open()), folder))
            except errors.Unavailable as error:
                LOG.warning("%s", error)
                trouble = error
        fitting = [room for room in rooms if size is None or size <= room[1]]
        if fitting:
            return max(fitting, key=lambda room: room[:2])[2]
        if not rooms and trouble:
            raise trouble
        most = max(room[1] for room in rooms)
        reason = f"{size} bytes are needed, {most} are free"
        raise errors.StoreFull(store=self.name, reason=reason)

    # --- reading ---

    def read(self, url: str, offset: int = 0, length: int | None = None) -> FileChunks:
        folder, key = self._locate(url)
        file, size = self._look(self._open, folder, key)
        wanted = size - offset if length is None else length
        if wanted < 0 or offset + wanted > size:
            reason = f"{key} has {size} bytes, fewer than it should"
            raise errors.StoreUnavailable(store=self.name, reason=reason)
        return FileChunks(self.name, self.workers, file, offset, wanted)

    def size(self, url: str) -> int:
        folder, key = self._locate(url)
        _, size = self._look(self._open, folder, key)
        return size

    def _open(self, folder: Folder, key: str) -> tuple[Descriptor, int]:
        with folders.translated(self.name, str(folder)):
            try:
                file, status = open_regular(folder.open(), key)
            except OSError as error:
                raise self._explained(error, key) from error
        if status.st_size > BLOCK:
            os.posix_fadvise(file.number, 0, 0, os.POSIX_FADV_SEQUENTIAL)
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
            for folder in self._folders:
                if folder.holds(parent):
                    return folder, key
        raise errors.LocationInvalid(store=self.name)

    # --- removing ---

    def delete(self, url: str) -> None:
        folder, key = self._locate(url)
        self._look(self._open, folder, key)
        self._run(self._remove, folder, key)

    def _remove(self, folder: Folder, key: str) -> None:
        within = folder.open()
        with folders.translated(self.name, str(folder)):
            if not folders.remove(within, key):
                raise errors.KeyNotFound(store=self.name, key=key)
            os.fsync(within.number)

    def discard(self, key: str) -> None:
        folders.plain(self.name, key)
        trouble: errors.Error | None = None
        for folder in self._folders:
            try:
                self._run(self._discard, folder, key)
            except errors.Error as error:
                trouble = error
        if trouble:
            raise trouble

    def _discard(self, folder: Folder, key: str) -> None:
        """Hidden names first: a writer then fails, or has published what goes next."""
        within = folder.open()
        with folders.translated(self.name, str(folder)):
            for name in folders.temporaries(within, key):
                folders.remove(within, name)
            folders.remove(within, key)
            os.fsync(within.number)
