"""What an upload costs below the API: from a socket through both digests into a store.

    python benchmarks/transfer.py [--mib 1024] [--eventlet] [--digests-only] FOLDER

Prints MiB/s, and the CPU of this process in seconds per GiB (the sender is another
process). Compare with ``--plain``: both digests over a buffer in memory, one after the
other, and nothing else, which is what the digests themselves take.
"""

import argparse
import hashlib
import os
import resource
import socket
import subprocess
import sys
import time
from typing import Any

from imageservice.data.hashing import Hashing
from imageservice.data.inspect import Inspecting, Rules
from imageservice.data.readers import Announced, Source
from imageservice.stores.driver import BLOCK

SENDER = """
import os, socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
block = os.urandom(1 << 20)
for _ in range(int(sys.argv[2])):
    peer.sendall(block)
"""


class Received:
    """What the sender sends, as the server's ``wsgi.input`` would offer it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def readinto(self, buffer: memoryview) -> int:
        return self._connection.recv_into(buffer)


def plain(mib: int) -> None:
    block = os.urandom(BLOCK)
    for algorithm in ("md5", "sha512"):
        digest = hashlib.new(algorithm)
        for _ in range(mib):
            digest.update(block)


def upload(mib: int, folder: str, workers: Any, digests_only: bool) -> None:
    from imageservice.stores.filesystem import File

    listener = socket.create_server(("127.0.0.1", 0))
    port = str(listener.getsockname()[1])
    sender = subprocess.Popen([sys.executable, "-c", SENDER, port, str(mib)])
    connection, _ = listener.accept()
    size = mib * BLOCK
    source = Announced(Source(Received(connection)), size)
    store = File.configured("disk", {"filesystem_store_datadir": folder}, workers)
    with Hashing(Inspecting(source, "raw", "bare", Rules()), "sha512", workers) as data:
        if digests_only:
            while data.read(BLOCK):
                pass
            assert data.result().size == size
        else:
            written = store.write("transfer-benchmark", data, size)
            assert data.result().size == written.size == size
            store.delete(written.url)
    sender.wait()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder")
    arguments.add_argument("--mib", type=int, default=1024)
    arguments.add_argument("--eventlet", action="store_true")
    arguments.add_argument("--digests-only", action="store_true")
    arguments.add_argument("--plain", action="store_true")
    chosen = arguments.parse_args()
    if chosen.eventlet:
        from imageservice.wsgi import server

        workers: Any = server.workers()
    else:
        from imageservice.wsgi import threads

        workers = threads.Workers()
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    if chosen.plain:
        plain(chosen.mib)
    else:
        upload(chosen.mib, chosen.folder, workers, chosen.digests_only)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    per_gib = 1024 / chosen.mib
    print(
        f"{chosen.mib / seconds:.0f} MiB/s, {(user + system) * per_gib:.2f} CPU s/GiB "
        f"(system {system * per_gib:.2f}), at most {after.ru_maxrss // 1024} MiB of memory"
    )


if __name__ == "__main__":
    main()
