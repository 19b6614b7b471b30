"""Waiting for Keystone: so long and no longer, however slowly it drips."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 100
"""Questions that are under way in a process, those that were given up included."""


class Patience:
    """Asks in threads, which are greenlets in the daemon, and gives up after a while.

    A timeout of a socket counts from one byte to the next: who sends a byte now and then
    is waited for without end. The asking itself cannot be stopped; it holds its place
    among ``at_once`` until it ends, so a Keystone that drips is not asked ever more.
    """

    def __init__(self, seconds: float, at_once: int = AT_ONCE) -> None:
        self.seconds = seconds
        self._places = threading.BoundedSemaphore(at_once)

    def call(self, function: Callable[[], T]) -> T:
        """Return what ``function`` returns. Raises what it raises, and TimeoutError."""
        end = time.monotonic() + self.seconds
        if not self._places.acquire(timeout=self.seconds):
            raise TimeoutError("too many questions wait for an answer already")
        reply: Future[T] = Future()
        asking = threading.Thread(
            target=self._ask, args=(function, reply), daemon=True, name="keystone"
        )
        try:
            asking.start()
        except BaseException:
            self._places.release()
            raise
        try:
            return reply.result(max(0.0, end - time.monotonic()))
        except TimeoutError:
            # As ``function`` may raise one, too, say which it is.
            if reply.done():
                raise
            raise TimeoutError(f"no whole answer within {self.seconds:g} s") from None

    def _ask(self, function: Callable[[], T], reply: "Future[T]") -> None:
        try:
            found = function()
        except BaseException as error:  # it is raised where somebody waits for it
            reply.set_exception(error)
        else:
            reply.set_result(found)
        finally:
            self._places.release()
