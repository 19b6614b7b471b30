"""Reads and writes under way, which librbd reports in threads of its own."""

from _queue import Empty, SimpleQueue
from collections.abc import Callable
from typing import Any


class Flight:
    """Counts what was started and collects what has come back, in whatever order.

    The callback of ``start`` may run in any thread: it only puts into a queue written in
    C, which no patching of the ``queue`` module changes.
    """

    def __init__(self, timeout_s: float) -> None:
        self._landed: SimpleQueue[tuple[int, int, bytes | None]] = SimpleQueue()
        self._timeout_s = timeout_s
        self._started = self._returned = 0

    def __len__(self) -> int:
        return self._started - self._returned

    def start(self, call: Callable[..., object], *args: Any) -> int:
        """``call(*args, callback)``; returns the number by which it lands."""
        number = self._started
        landed = self._landed

        def done(completion: Any, data: bytes | None = None) -> None:
            landed.put((number, completion.get_return_value(), data))

        call(*args, done)
        self._started += 1
        return number

    def land(self) -> tuple[int, int, bytes | None]:
        """Wait for the next: number, return value, data. Raises TimeoutError."""
        try:
            landed = self._landed.get(timeout=self._timeout_s)
        except Empty:
            raise TimeoutError from None
        self._returned += 1
        return landed
