"""Calls to a back end that may hang, in threads of their own, waited for only so long."""

from collections.abc import Callable
from typing import Any, TypeVar

from imageservice import errors
from imageservice.stores.driver import Signal, Workers

T = TypeVar("T")


class _Call:
    """One call in a native thread, and what came of it."""

    def __init__(self, function: Callable[[], object], signal: Signal) -> None:
        self.signal = signal
        self.result: Any = None  # of whatever type the function returns
        self.error: BaseException | None = None
        self.is_given_up = False
        self.has_begun = False
        self.has_ended = False
        self._function: Callable[[], object] | None = function

    def make(self, overdue: set["_Call"]) -> None:
        """Make the call, unless it waited for a thread until nobody wanted it any more."""
        function, self._function = self._function, None
        if self.is_given_up or function is None:
            return
        self.has_begun = True
        try:
            self.result = function()
        except BaseException as error:  # goes to the caller, if there still is one
            self.error = error
        finally:
            # This thread may be slow to leave: what the caller gets it must not hold.
            del function
            if self.is_given_up:
                self.error = self.result = None  # let go of here, where it may hang
            self.has_ended = True
            overdue.discard(self)
            self.signal.set()

    def outcome(self) -> Any:
        """Return or raise what came of it, once: errors would hold themselves otherwise."""
        error, result = self.error, self.result
        self.error = self.result = None
        try:
            if error is not None:
                raise error
            return result
        finally:
            del error, result

    def give_up(self, overdue: set["_Call"]) -> None:
        self.is_given_up = True
        if self.has_begun:
            overdue.add(self)
        if self.has_ended:  # it did while we looked
            overdue.discard(self)


class Patience:
    """Gives up on calls after ``timeout_s`` seconds, 0 for never.

    At most ``may_hang`` calls are made at a time; more wait for their turn, which counts
    as waiting. A call that was given up goes on hanging in its thread. With ``may_hang``
    of them, further calls fail at once.

    So a call that changes something may do so long after the caller was told that it had
    failed: whoever makes one has to be prepared for it.
    """

    def __init__(
        self, store: str, workers: Workers, timeout_s: float, may_hang: int
    ) -> None:
        self._store = store
        self._workers = workers.lane(may_hang)
        self._timeout_s = timeout_s
        self._may_hang = may_hang
        self._overdue: set[_Call] = set()

    @property
    def hangs(self) -> bool:
        """Tell whether a call that was given up has not come back yet."""
        return bool(self._overdue)

    def call(self, function: Callable[[], T], within_s: float | None = None) -> T:
        """Return what ``function`` returns; ``within_s`` takes the place of ``timeout_s``.

        Raises NoAnswer when it takes too long.
        """
        if not self._timeout_s:
            return self._workers.run(function)
        if len(self._overdue) >= self._may_hang:
            raise self._refusal(f"{self._may_hang} calls wait for an answer already")
        patience_s = self._timeout_s if within_s is None else within_s
        call = _Call(function, self._workers.signal())
        self._workers.start(call.make, self._overdue)
        try:
            answered = call.signal.wait(patience_s)
        except BaseException:
            call.give_up(self._overdue)
            raise
        if not answered:
            call.give_up(self._overdue)
            raise self._refusal(f"no answer within {patience_s:.0f} s")
        outcome: T = call.outcome()
        return outcome

    def later(self, function: Callable[[], object]) -> None:
        """Have ``function`` called when there is a thread for it, and do not wait."""
        self._workers.start(function)

    def _refusal(self, reason: str) -> errors.NoAnswer:
        return errors.NoAnswer(store=self._store, reason=reason)
