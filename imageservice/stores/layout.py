"""Options of a file store, and the plain values they come down to."""

import dataclasses
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg

from imageservice import errors
from imageservice.stores.driver import BLOCK

DEFAULT_FOLDER = "/var/lib/glance/images"

MAX_BLOCK = 4 * BLOCK

ALTERNATIVES = (frozenset({"filesystem_store_datadir", "filesystem_store_datadirs"}),)

OPTS: Sequence[cfg.Opt] = (
    cfg.StrOpt(
        "filesystem_store_datadir",
        sample_default=DEFAULT_FOLDER,
        help="Folder in which the images lie, one file each, named by the image's id. "
        "It has to exist: a folder that is missing is never made anew, because its disk "
        "may just not be mounted. If neither this nor filesystem_store_datadirs is set, "
        f"{DEFAULT_FOLDER} is used.",
    ),
    cfg.MultiStrOpt(
        "filesystem_store_datadirs",
        help="Several folders, as path:priority, the option once for each. New images go "
        "to the folder of the highest priority (default 0) that has room; among equals, "
        "to the one with most free space. Not together with filesystem_store_datadir, but "
        "in place of that of [backend_defaults].",
    ),
    cfg.StrOpt(
        "filesystem_store_metadata_file",
        help="JSON file with an object, or a list of objects, of the two strings 'id' and "
        "'mountpoint'. The object whose mountpoint an image lies under is added to the "
        "metadata of its location.",
    ),
    cfg.IntOpt(
        "filesystem_store_file_perm",
        default=0,
        min=0,
        help="Permissions of finished files, octal digits as in chmod: 640 lets the group "
        "read. The owner must be able to read. 0 gives 640 less the umask. Whom it lets use "
        "files is let through the folder, too (x), when that is made.",
    ),
    cfg.IntOpt(
        "filesystem_store_chunk_size",
        default=65536,
        min=1,
        help="Bytes read and written at a time. Below 1 MiB is raised to 1 MiB, above 4 "
        "MiB lowered to 4 MiB; there is no reason to set it.",
    ),
    cfg.BoolOpt(
        "filesystem_thin_provisioning",
        default=False,
        help="Leave out runs of zeros of 64 KiB, so that they take no room on the disk. "
        "Room is then not reserved before an upload.",
    ),
    cfg.IntOpt(
        "filesystem_store_timeout",
        default=60,
        min=0,
        help="Seconds to wait for an answer of the file system, at each step of a request, "
        "before the request fails with 503; the last step of an upload, which waits for the "
        "disk, may take a second more for each MiB. For network file systems that can hang. "
        "More lets transfers survive the restart of a file server (300, say); "
        "0 waits for ever, with the client.",
    ),
    cfg.IntOpt(
        "filesystem_store_thread_pool_size",
        default=32,
        min=1,
        help="Calls to the file system at the same time, in each worker process; more wait "
        "for their turn. As many can hang, and hold up no other store; when so many have "
        "not answered within filesystem_store_timeout, further requests to this store "
        "fail at once.",
    ),
    cfg.IntOpt(
        "filesystem_store_threadpool_threshold",
        default=75,
        min=0,
        max=100,
        help="Accepted and not used.",
    ),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """How a file store is laid out. ``mode`` 0 leaves permissions to the umask."""

    folders: tuple[tuple[str, int], ...]  # path, priority
    mode: int = 0
    block: int = BLOCK  # bytes
    thin: bool = False
    mounts: tuple[Mapping[str, str], ...] = ()
    timeout_s: int = 60  # 0: for ever
    may_hang: int = 32  # calls

    @property
    def passage(self) -> int:
        """What group and others need of a folder to come to the files that they may use."""
        return (self.mode >> 2 | self.mode >> 1) & (stat.S_IXGRP | stat.S_IXOTH)


def layout(store: str, options: Mapping[str, Any]) -> Layout:
    """Check the options of one store. Raises Misconfigured, naming the option."""
    chunk = options.get("filesystem_store_chunk_size") or BLOCK
    return Layout(
        folders=_folders(store, options),
        mode=_mode(store, options.get("filesystem_store_file_perm") or 0),
        block=min(max(chunk, BLOCK), MAX_BLOCK),
        thin=bool(options.get("filesystem_thin_provisioning")),
        mounts=_mounts(store, options.get("filesystem_store_metadata_file")),
        timeout_s=options.get("filesystem_store_timeout", 60),
        may_hang=options.get("filesystem_store_thread_pool_size", 32),
    )


def _refuse(store: str, reason: str) -> errors.Misconfigured:
    return errors.Misconfigured(reason=f"store '{store}': {reason}")


def _folders(store: str, options: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    single = options.get("filesystem_store_datadir")
    several = options.get("filesystem_store_datadirs") or []
    if single and several:
        raise _refuse(
            store, "set either filesystem_store_datadir or filesystem_store_datadirs"
        )
    found: dict[str, int] = {}
    for entry in several or [single or DEFAULT_FOLDER]:
        path, priority = _folder(entry) if several else (entry, 0)
        path = os.path.normpath(path)
        if not os.path.isabs(path):
            raise _refuse(store, f"data folder '{entry}' must be an absolute path")
        if found.setdefault(path, priority) != priority:
            raise _refuse(store, f"data folder {path} has two priorities")
    return tuple(found.items())


def _folder(entry: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.+):\s*(-?\d+)\s*", entry)
    return (match[1], int(match[2])) if match else (entry, 0)


def _mode(store: str, digits: int) -> int:
    if not digits:
        return 0
    if not re.fullmatch("[0-7]{1,3}", str(digits)):
        raise _refuse(
            store, f"filesystem_store_file_perm {digits} is not three octal digits"
        )
    mode = int(str(digits), 8)
    if not mode & stat.S_IRUSR:
        raise _refuse(
            store, f"filesystem_store_file_perm {digits} keeps us from reading: use 640"
        )
    return mode


def _mounts(store: str, path: str | None) -> tuple[Mapping[str, str], ...]:
    if not path:
        return ()
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _refuse(
            store, f"filesystem_store_metadata_file {path} cannot be read: {error}"
        ) from error
    entries = found if isinstance(found, list) else [found]
    for entry in entries:
        if not (
            isinstance(entry, dict)
            and isinstance(entry.get("id"), str)
            and os.path.isabs(str(entry.get("mountpoint")))
        ):
            raise _refuse(
                store,
                f"{path} must hold objects with the string 'id', and in 'mountpoint' an"
                " absolute path",
            )
    return tuple(entries)


def metadata(plan: Layout, folder: str) -> dict[str, str]:
    """What to keep with locations in ``folder``: its mount's entry, if there is one."""
    for mount in plan.mounts:
        point = os.path.normpath(mount["mountpoint"])
        if os.path.commonpath([point, folder]) == point:
            return dict(mount)
    return {}
