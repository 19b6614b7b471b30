"""The digests of an upload, computed in native threads while it is received and written.

MD5 and SHA-512 together take 2.6 s of CPU for a GiB. In the thread that serves the
requests that would hold up everybody else; one after the other they would hold up this
upload. So each digest has a thread, fed with the very buffers that the driver writes:

    reader ──fills──▶ buffer ──▶ driver        (the request's own thread)
                        ├──────▶ MD5 thread
                        └──────▶ SHA-512 thread

A buffer is filled anew when all digests and the driver are done with it. An image that
is signed has a third thread, which digests for its signature (``signature.py``).
"""

import hashlib
import mmap
import os
import sys
from _queue import SimpleQueue
from collections.abc import Callable
from typing import NamedTuple, Protocol

from imageservice.data.blocks import fill_up, filler
from imageservice.stores.driver import (
    BLOCK,
    Buffer,
    Origin,
    Reader,
    Signal,
    Workers,
    origin_of,
)

BUFFERS = 4
"""Blocks under way. Two keep the threads busy, two more take up the jitter."""

INLINE = 16 * 1024
"""Up to so many bytes (0.05 ms) a thread costs more than the digests."""


NICENESS = 4
"""By how much digests give way to requests. With four uploads on two cores the median
request waits a third less; more makes the slowest ones worse (10: p99 of 60 for 20 ms),
because a thread of low rank may be put aside while it holds Python's lock."""


class Digests(NamedTuple):
    """What came through: bytes, and hex digests of them."""

    size: int
    md5: str
    value: str


class Verifier(Protocol):
    """Sees all bytes, and tells at their end whether they are the ones that were signed."""

    def update(self, block: Buffer, /) -> None:
        """Take the next bytes; called in a native thread."""
        ...

    def verify(self) -> None:
        """Raise an ``errors.Error`` unless the bytes so far are what was signed."""
        ...


class Turns:
    """As many turns as there are cores: more digests at once only keep each other waiting.

    And everybody else. With four uploads on two cores the p99 of a show is 15 ms with
    turns and 33 ms without, and the uploads are no slower.
    """

    def __init__(self, count: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)

    def __enter__(self) -> None:
        self._free.get()

    def __exit__(self, *_: object) -> None:
        self._free.put(None)


# One for the process, as its cores are; two at least, for the two digests of one upload.
_TURNS = Turns(max(2, len(os.sched_getaffinity(0))))


class Lane:
    """One digest, and the blocks that wait for it."""

    def __init__(self, update: Callable[[Buffer], object]) -> None:
        # The queue written in C: in a process whose ``queue`` module is patched, the
        # Python one waits for greenlets, but it is a native thread that waits here.
        self._blocks: SimpleQueue[memoryview | None] = SimpleQueue()
        self.update = update
        self.put = self._blocks.put
        self.done = 0  # blocks, written by the thread alone
        self.ended = False

    def run(self, gauge: "Gauge") -> None:
        """Digest blocks until None comes; runs in a native thread."""
        give_way()
        try:
            while (block := self._blocks.get()) is not None:
                with _TURNS:
                    self.update(block)
                self.done += 1
                gauge.moved()
        finally:
            self.ended = True
            gauge.signal.set()


def give_way() -> None:
    """Let the threads that serve requests go before this one, where threads have ranks."""
    if sys.platform == "linux":
        niceness = os.getpriority(os.PRIO_PROCESS, os.getpid()) + NICENESS
        os.setpriority(os.PRIO_PROCESS, 0, min(niceness, 19))  # 0: this thread alone


class Gauge:
    """Tells the request when all lanes have come so far."""

    def __init__(self, lanes: tuple[Lane, ...], signal: Signal) -> None:
        self._lanes = lanes
        self.signal = signal
        self._wanted = 0  # blocks; 0 when nobody waits

    def moved(self) -> None:
        """Wake the request if it waits for what is now reached; called by the lanes."""
        if 0 < self._wanted <= self._reached():
            self.signal.set()

    def _reached(self) -> int:
        return min(lane.done for lane in self._lanes)

    def wait(self, blocks: int) -> None:
        """Wait until every lane has digested so many blocks."""
        self._wanted = blocks
        while self._reached() < blocks:
            if any(lane.ended for lane in self._lanes):
                raise RuntimeError("a digest's thread ended early")
            self.signal.wait()
        self._wanted = 0


class Hashing:
    """The outermost reader: digests what it reads. Use it in a ``with`` statement.

    ``read`` gives blocks of up to 1 MiB, valid until the next call. ``algorithm`` is a
    name of hashlib's. What the ``verifier`` has to say against the bytes is raised at
    their end. Leaving the ``with`` ends the threads, whatever has happened.
    """

    def __init__(
        self,
        inner: Reader,
        algorithm: str,
        workers: Workers,
        verifier: Verifier | None = None,
    ) -> None:
        self._inner = inner
        self._fill = filler(inner)
        self._workers = workers
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._other = hashlib.new(algorithm, usedforsecurity=False)
        self._verifier = verifier
        fed: list[Callable[[Buffer], object]] = [self._md5.update, self._other.update]
        if verifier is not None:
            fed.append(verifier.update)
        self._lanes = tuple(map(Lane, fed))
        self._gauge: Gauge | None = None  # while the threads run
        self._memory = memoryview(mmap.mmap(-1, BUFFERS * BLOCK))
        self._rest = self._memory[:0]  # read, but not yet handed out
        self._blocks = 0
        self._size = 0
        self._ended = False

    @property
    def origin(self) -> Origin | None:
        return origin_of(self._inner)

    def __enter__(self) -> "Hashing":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._ended = True

    def read(self, size: int = -1, /) -> Buffer:
        if not self._rest and not self._ended:
            self._rest = self._next()
        if not self._rest:
            # Before the driver makes anything visible: what fails here fails the write.
            self._finish()
        if size < 0 or size >= len(self._rest):
            block, self._rest = self._rest, self._rest[:0]
        else:
            block, self._rest = self._rest[:size], self._rest[size:]
        return block

    def result(self) -> Digests:
        """Return the digests of all that was read."""
        self._finish()
        return Digests(self._size, self._md5.hexdigest(), self._other.hexdigest())

    def _finish(self) -> None:
        if self._gauge:
            self._gauge.wait(self._blocks)
        self._stop()
        if self._verifier:
            self._workers.run(self._verifier.verify)
            self._verifier = (
                None  # only now: who asks again after a refusal gets another
            )

    def _next(self) -> memoryview:
        """Fill the next free buffer and send it to the digests."""
        if self._gauge and self._blocks >= BUFFERS:
            self._gauge.wait(self._blocks - BUFFERS + 1)
        start = self._blocks % BUFFERS * BLOCK
        buffer = self._memory[start : start + BLOCK]
        count = fill_up(self._fill, buffer)
        self._ended = count < BLOCK
        self._size += count
        block = buffer[:count]
        if self._gauge is None and self._ended:
            self._digest_here(block)
        elif count:
            self._send(block)
        return block

    def _digest_here(self, block: memoryview) -> None:
        """The whole upload fits in one block: no threads are started for it."""
        for lane in self._lanes:
            if len(block) <= INLINE:
                lane.update(block)
            else:
                self._workers.run(lane.update, block)

    def _send(self, block: memoryview) -> None:
        if self._gauge is None:
            self._gauge = Gauge(self._lanes, self._workers.signal())
            for lane in self._lanes:
                self._workers.start(lane.run, self._gauge)
        for lane in self._lanes:
            lane.put(block)
        self._blocks += 1

    def _stop(self) -> None:
        if self._gauge:
            self._gauge = None
            for lane in self._lanes:
                lane.put(None)
