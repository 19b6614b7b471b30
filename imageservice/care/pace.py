"""How fast a command reads bytes, all of its threads together."""

import threading
import time
from collections.abc import Callable


class Stopped(Exception):
    """The command was told to end: no error of what it was at."""


class Pace:
    """Lets ``rate`` bytes pass in a second, None for as many as there are.

    ``stop`` makes every read that goes on raise Stopped.
    """

    def __init__(
        self,
        rate: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = clock()
        self._stop = threading.Event()
        self.bytes = 0  # that have passed

    def stop(self) -> None:
        self._stop.set()

    def check(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def pass_on(self, count: int) -> None:
        """Wait until it is the turn of ``count`` bytes. Raises Stopped."""
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now)
            wait_s = self._free_at - now
            if self._rate:
                self._free_at += count / self._rate
        self.wait(wait_s)
        with self._lock:
            self.bytes += count

    def wait(self, seconds: float) -> None:
        """Wait, but not for longer than one is let. Raises Stopped."""
        self._stop.wait(seconds)
        self.check()
