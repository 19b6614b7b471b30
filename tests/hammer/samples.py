"""Looks at a daemon's store and counters again and again, while a test makes trouble."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from imageservice.db.engine import Database
from imageservice.db.usage import Usage, Used
from imageservice.stores import folders
from tests.daemon import Daemon


class Samples:
    """The most that was seen: bytes that lay in the store, and bytes that were charged."""

    def __init__(self, daemon: Daemon, project: str) -> None:
        self.stored = 0
        self.charged = 0
        self.count = 0
        self._daemon = daemon
        self._project = project

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Take samples while the block runs, and a last one."""
        over = threading.Event()
        database = Database(self._daemon.database)

        def run() -> None:
            counters = Usage(database)
            is_last = False
            while not is_last:
                is_last = over.is_set()
                self._take(counters.of(self._project))
                over.wait(0.002)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            database.close()

    def _take(self, used: Used) -> None:
        self.stored = max(self.stored, stored_bytes(self._daemon.images))
        self.charged = max(self.charged, used.bytes + used.reserved)
        self.count += 1


def stored_bytes(folder: Path) -> int:
    """The bytes that lie in a store at one moment, finished or not.

    A folder is not read in one moment: a file may go after it was seen, and another one
    grow before it is. What two looks have both seen was there between them.
    """
    first, second = _sizes(folder), _sizes(folder)
    return sum(min(size, second.get(file, 0)) for file, size in first.items())


def _sizes(folder: Path) -> dict[int, int]:
    """Size by inode: a file may be renamed between two looks."""
    sizes = {}
    for place, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(os.path.join(place, name))
                if name != folders.MARK:
                    sizes[found.st_ino] = found.st_size
    return sizes


def used(daemon: Daemon, project: str) -> Used:
    """The counters of a project, which agree with what they count."""
    database = Database(daemon.database)
    try:
        before, after = Usage(database).recount(project)
        assert before == after
        return after
    finally:
        database.close()
