"""Stores as the daemon has them, each with what is behind it, and how that goes wrong."""

import abc
import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from imageservice.stores.folders import MARK
from tests.daemon import Daemon
from tests.hammer import calls

MIB = 1024 * 1024
TIMEOUT_S = 5

REAL = [
    pytest.param(kind, marks=pytest.mark.servers) for kind in ("s3", "swift", "rbd")
]
"""Parameters of ``backend`` whose bytes another program keeps."""


class Backend(abc.ABC):
    """A store of the daemon; ``options`` are those of its section."""

    kind: str
    options: dict[str, Any]

    @abc.abstractmethod
    def left(self, daemon: Daemon) -> list[str]:
        """Names of all that lies in the store, unfinished data included."""


class Server(Backend):
    """A store whose bytes another program keeps; whoever breaks it mends it."""

    @abc.abstractmethod
    def full(self) -> contextlib.AbstractContextManager[None]:
        """Have no room for some MiB for a while."""

    @abc.abstractmethod
    def frozen(self) -> contextlib.AbstractContextManager[None]:
        """Let the server hang for a while."""

    @abc.abstractmethod
    def restart(self) -> None:
        """End the server and start it again."""

    @abc.abstractmethod
    def rotate(self) -> None:
        """Give the user new credentials, which ``options`` then hold; bar the old ones."""


class Folder(Backend):
    kind = "file"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.options = {"filesystem_store_datadir": folder}

    def left(self, daemon: Daemon) -> list[str]:
        return [name for name in os.listdir(self._folder) if name != MARK]


class Memory(Backend):
    """Within the daemon, where nobody can look: it is empty if all of its room is free."""

    kind = "memory"
    room = 20 * MIB

    def __init__(self) -> None:
        self.options = {"memory_store_size": self.room // MIB}

    def left(self, daemon: Daemon) -> list[str]:
        image = calls.create(daemon.url)
        status = calls.put(daemon.url, image, bytes(self.room))
        calls.call(daemon.url, "DELETE", image)
        return [] if status == 204 else ["something"]


def sections(backend: Backend) -> dict[str, dict[str, object]]:
    """Options of a daemon of a single worker, which keeps everything in this store."""
    return {
        "DEFAULT": {"enabled_backends": f"only:{backend.kind}", "workers": 1},
        "glance_store": {"default_backend": "only"},
        "only": backend.options,
    }
