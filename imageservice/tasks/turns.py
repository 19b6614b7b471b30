"""Whose turn it is: work of many projects that a few jobs share.

Work waits by project, oldest first. Projects take turns, and none has more than its
share under way: who registers addresses that never answer keeps himself waiting, and
nobody else.
"""

import contextlib
import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Turn(NamedTuple, Generic[T]):
    """Turns of one project are compared by when they are due, then by when they came."""

    due: float
    number: int
    work: T


class Turns(Generic[T]):
    """``share`` is how much of one project may be under way; None counts as one."""

    def __init__(self, share: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        # Heaps, of those projects that wait, in the order in which they are asked.
        self._waiting: dict[str | None, list[Turn[T]]] = {}
        self._under_way: Counter[str | None] = Counter()

    def put(self, project: str | None, work: T, delay_s: float = 0) -> None:
        """Let ``work`` wait for its turn, and for so many seconds at least."""
        with self._changed:
            turn = Turn(self._clock() + delay_s, next(self._numbers), work)
            heapq.heappush(self._waiting.setdefault(project, []), turn)
            self._changed.notify()

    @contextlib.contextmanager
    def next(self, patience_s: float = 0) -> Iterator[T | None]:
        """Have what is next under way as long as the block lasts; None if nothing came."""
        with self._changed:
            turn = self._taken()
            if turn is None and patience_s:
                self._changed.wait(patience_s)
                turn = self._taken()
        if turn is None:
            yield None
            return
        project, work = turn
        try:
            yield work
        finally:
            with self._changed:
                self._under_way[project] -= 1
                if not self._under_way[project]:
                    del self._under_way[project]
                self._changed.notify()

    def _taken(self) -> tuple[str | None, T] | None:
        now = self._clock()
        for project, heap in self._waiting.items():
            if heap[0].due <= now and self._under_way[project] < self._share:
                turn = heapq.heappop(heap)
                del self._waiting[project]
                if heap:
                    self._waiting[project] = heap  # behind the others
                self._under_way[project] += 1
                return project, turn.work
        return None

    def withdraw(self, is_void: Callable[[T], bool]) -> list[T]:
        """Take away what waits and ``is_void``, due or not."""
        void: list[T] = []
        with self._changed:
            for project, heap in list(self._waiting.items()):
                kept = []
                for turn in heap:
                    if is_void(turn.work):
                        void.append(turn.work)
                    else:
                        kept.append(turn)
                heapq.heapify(kept)
                self._waiting[project] = kept
                if not kept:
                    del self._waiting[project]
        return void
