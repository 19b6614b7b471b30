"""Calls to a file system that may hang, waited for only so long."""

from collections.abc import Callable
from typing import Any, TypeVar

from imageservice import errors
from imageservice.stores.driver import Signal, Workers

T = TypeVar("T")


class _Call:
    """One call in a native thread, and what came of it."""

    def __init__(self, signal: Signal) -> None:
        self.signal = signal
        self.result: Any = None  # of whatever type the function returns
        self.error: BaseException | None = None

    def make(self, running: set["_Call"], function: Callable[[], object]) -> None:
        try:
            self.result = function()
        except BaseException as error:  # goes to the caller, if there still is one
            self.error = error
        finally:
            running.discard(self)
            self.signal.set()


class Patience:
    """Gives up on calls after ``timeout_s`` seconds, 0 for never.

    The thread of a call that was given up goes on hanging; with ``may_hang`` of them,
    further calls fail at once. Only for calls that look: one that changes something
    could do so long after the caller was told that it had failed.
    """

    def __init__(
        self, store: str, workers: Workers, timeout_s: int, may_hang: int
    ) -> None:
        self._store = store
        self._workers = workers
        self._timeout_s = timeout_s
        self._may_hang = may_hang
        self._running: set[_Call] = set()

    def call(self, function: Callable[[], T]) -> T:
        """Return what ``function`` returns. Raises StoreUnavailable when it takes too long."""
        if not self._timeout_s:
            return self._workers.run(function)
        if len(self._running) >= self._may_hang:
            raise self._refusal(f"{self._may_hang} calls wait for an answer already")
        call = _Call(self._workers.signal())
        self._running.add(call)
        self._workers.start(call.make, self._running, function)
        if not call.signal.wait(self._timeout_s):
            raise self._refusal(f"no answer within {self._timeout_s} s")
        if call.error is not None:
            raise call.error
        result: T = call.result
        return result

    def _refusal(self, reason: str) -> errors.StoreUnavailable:
        return errors.StoreUnavailable(store=self._store, reason=reason)
