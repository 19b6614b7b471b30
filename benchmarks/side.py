"""One side of ``benchmarks/stores.py``, once, in a process of its own.

``plain`` is the plain client, ``digests`` what both digests take by themselves, ``digested``
the plain client's upload with them beside it, ``ours`` the driver with the threads and
sockets of the daemon.
"""

import contextlib
import hashlib
import itertools
import json
import os
import re
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks.peers import PEERS, Keeper, Peer
from imageservice.data.hashing import Hashing
from imageservice.data.inspect import Inspecting, Rules
from imageservice.data.readers import Announced, Source
from imageservice.stores.driver import BLOCK, Driver, Workers

DIGESTS = ("md5", "sha512")
KEY = "0f3ae0a4-6a3c-4c9f-8c43-1e3b0c7d5a11"


class Meter:
    """Time, CPU and memory of what runs in the block; its processes count too."""

    def __init__(self, mib: int) -> None:
        self._mib = mib

    def __enter__(self) -> "Meter":
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        self._before_kib = _status("VmRSS")
        self._start, self._cpu = time.perf_counter(), _cpu_s()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self.cpu_s = _cpu_s() - self._cpu
        self.growth_mib = (_status("VmHWM") - self._before_kib) / 1024

    def figures(self, name: str) -> dict[str, float]:
        return {
            f"{name} MiB/s": self._mib / self.seconds,
            f"{name} CPU s/GiB": self.cpu_s * 1024 / self._mib,
            f"{name} memory MiB": self.growth_mib,
        }


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def _cpu_s() -> float:
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def ours(
    driver: Driver, workers: Workers, file: Path, url: str | None
) -> dict[str, float]:
    """``url`` is where the data lies already, for a driver that takes none."""
    driver.create()
    driver.check()  # a daemon has its connection
    size = file.stat().st_size
    mib = size // BLOCK
    if url is not None:
        return received(driver, url, size).figures("download")
    with Meter(mib) as up, incoming(workers, file) as data:
        written = driver.write(KEY, data, size)
        assert data.result().size == written.size == size
    down = received(driver, written.url, size)
    driver.delete(written.url)
    return up.figures("upload") | down.figures("download")


def received(driver: Driver, url: str, size: int) -> Meter:
    found = 0
    with Meter(size // BLOCK) as down, open("/dev/null", "wb", buffering=0) as out:
        # As the location ring does: it knows the size.
        chunks = driver.read(url, 0, size)
        with contextlib.closing(chunks):
            if file := getattr(chunks, "file", None):  # as the server does, too
                found = sent(out, *file)
            else:
                for chunk in chunks:
                    found += out.write(chunk)
    assert found == size
    return down


def sent(out: BinaryIO, descriptor: int, offset: int, length: int) -> int:
    end = offset + length
    while offset < end:
        offset += os.sendfile(out.fileno(), descriptor, offset, end - offset)
    return length


@contextlib.contextmanager
def incoming(workers: Workers, file: Path) -> Iterator[Hashing]:
    """The bytes of an upload, as the location ring hands them to a driver."""
    with file.open("rb", buffering=0) as body:
        announced = Announced(Source(body), file.stat().st_size)
        source = Inspecting(announced, "raw", "bare", Rules())
        with Hashing(source, DIGESTS[1], workers) as data:
            yield data


def plain(peer: Peer, file: Path) -> dict[str, float]:
    mib = file.stat().st_size // BLOCK
    if not isinstance(peer, Keeper):
        with Meter(mib) as down:
            peer.download(KEY)
        return down.figures("download")
    with Meter(mib) as up:
        peer.upload(file, KEY)
    with Meter(mib) as down:
        peer.download(KEY)
    peer.remove(KEY)
    return up.figures("upload") | down.figures("download")


def digests(mib: int) -> dict[str, float]:
    """Over a buffer in memory, each in a thread."""
    block = os.urandom(BLOCK)

    def digest(algorithm: str) -> None:
        found = hashlib.new(algorithm, usedforsecurity=False)
        for _ in range(mib):
            found.update(block)

    with Meter(mib) as meter:
        together(digest)
    return meter.figures("upload")


def together(digest: Callable[[str], None]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(digest, DIGESTS))


def digested(peer: Peer, file: Path) -> dict[str, float]:
    """The same work as ours, done in two pieces: no faster than the slower of them."""
    if not isinstance(peer, Keeper):
        return {}

    def digest(algorithm: str) -> None:
        with file.open("rb", buffering=0) as body:
            hashlib.file_digest(body, algorithm)

    with Meter(file.stat().st_size // BLOCK) as up:
        beside = threading.Thread(target=together, args=(digest,))
        beside.start()
        peer.upload(file, KEY)
        beside.join()
    peer.remove(KEY)
    return up.figures("upload")


def driver(kind: str, chosen: dict[str, Any], workers: Workers) -> Driver:
    (entry,) = metadata.entry_points(group="imageservice.stores", name=kind)
    found: type[Driver] = entry.load()
    options = itertools.chain(found.OPTS, *found.SHARED.values())
    defaults = {opt.dest: opt.default for opt in options}
    return found.configured("measured", {**defaults, **chosen}, workers)


def main() -> None:
    """Measure a side, given with its options, as JSON, and print its figures."""
    side, kind, chosen, file = sys.argv[1:]
    options, data = json.loads(chosen), Path(file)
    if side == "plain":
        figures = plain(PEERS[kind](options), data)
    elif side == "digests":
        figures = digests(data.stat().st_size // BLOCK)
    elif side == "digested":
        figures = digested(PEERS[kind](options), data)
    else:
        # Imported for this side alone: it patches the standard library.
        from imageservice.wsgi import server

        workers = server.workers()
        store = driver(kind, options, workers)
        figures = ours(store, workers, data, options.get("url"))
    print(json.dumps(figures))
