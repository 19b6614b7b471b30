"""Several things done at a time, in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from imageservice.care.pace import Pace

A = TypeVar("A")
B = TypeVar("B")

AHEAD = 4
"""Things begun or waiting for it, for each job."""

TICK_S = 0.2
"""Between two calls of ``waiting``."""


def done(
    function: Callable[[A], B],
    things: Iterable[A],
    jobs: int,
    pace: Pace,
    waiting: Callable[[], None],
) -> Iterator[B]:
    """What ``function`` makes of each, in order; ``jobs`` threads call it.

    Whoever interrupts it stops ``pace``, so that what is under way ends soon. While
    nothing comes, ``waiting`` is called now and then, by the thread that iterates.
    """

    def result(of: Future[B]) -> B:
        while not wait((of,), TICK_S).done:
            waiting()
        return of.result()

    with ThreadPoolExecutor(jobs) as threads:
        begun: deque[Future[B]] = deque()
        try:
            for thing in things:
                begun.append(threads.submit(function, thing))
                if len(begun) > AHEAD * jobs:
                    yield result(begun.popleft())
            while begun:
                yield result(begun.popleft())
        except BaseException as error:
            for each in begun:
                each.cancel()
            if not isinstance(error, Exception):
                pace.stop()
            raise
