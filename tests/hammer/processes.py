"""Looks into /proc: which process of a daemon serves a connection."""

import contextlib
import os
import signal
from pathlib import Path

PROC = Path("/proc")


def serving(daemon: int, client_port: int, server_port: int) -> int:
    """Return the worker of ``daemon`` that holds the server's end of a connection."""
    inode = _inode(server_port, client_port)
    for pid in children(daemon):
        with contextlib.suppress(OSError):
            for descriptor in (PROC / str(pid) / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor) == f"socket:[{inode}]":
                        return pid
    raise AssertionError(f"no child of {daemon} holds the connection")


def children(parent: int) -> list[int]:
    """Return the processes that descend from one."""
    found: list[int] = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    found += [int(entry.name), *children(int(entry.name))]
    return found


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _inode(local_port: int, remote_port: int) -> int:
    for line in (PROC / "net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ports = [int(address.split(":")[1], 16) for address in fields[1:3]]
        if ports == [local_port, remote_port]:
            return int(fields[9])
    raise AssertionError(f"no connection from port {remote_port} to {local_port}")
