"""Questions to a slow service: asked once at a time, answers kept for a moment.

Whoever asks the same thing meanwhile waits for the same answer, and nobody waits longer
than the patience, however slowly the other side drips. The asking goes on in a thread of
its own, which is a greenlet in the daemon.
"""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, NamedTuple, TypeVar

Question = TypeVar("Question", bound=Hashable)
Reply = TypeVar("Reply")

#: Answers that are kept before those that are too old are looked for.
MANY = 1000


class _Asked(NamedTuple, Generic[Reply]):
    at: float  # by the clock, when the question was asked, not when it was answered
    reply: "Future[Reply]"


class Inquiries(Generic[Question, Reply]):
    """``ask`` answers or raises; times are in seconds.

    An answer serves for ``keep`` from when it was asked for; an error serves those who
    waited for it and nobody else.
    """

    def __init__(
        self,
        ask: Callable[[Question], Reply],
        *,
        keep: float,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._keep = keep
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: dict[Question, _Asked[Reply]] = {}

    def answer(self, question: Question) -> Reply:
        """Raises what ``ask`` raises, and TimeoutError when it takes too long."""
        with self._lock:
            now = self._clock()
            asked = self._asked.get(question)
            if asked is None or not self._serves(asked, now):
                asked = self._begin(question, now)
        return asked.reply.result(max(0.0, asked.at + self._patience - now))

    def _serves(self, asked: _Asked[Reply], now: float) -> bool:
        age = now - asked.at
        if not asked.reply.done():
            # One that has been given up is left to itself: the next may be luckier.
            return age < self._patience
        return asked.reply.exception() is None and age < self._keep

    def _begin(self, question: Question, now: float) -> _Asked[Reply]:
        if len(self._asked) >= MANY:
            kept = {q: a for q, a in self._asked.items() if self._serves(a, now)}
            self._asked = kept
        asked: _Asked[Reply] = _Asked(now, Future())
        threading.Thread(
            target=self._find_out, args=(question, asked.reply), daemon=True
        ).start()
        self._asked[question] = asked
        return asked

    def _find_out(self, question: Question, reply: "Future[Reply]") -> None:
        try:
            found = self._ask(question)
        except Exception as error:  # it is raised where somebody waits for it
            reply.set_exception(error)
        else:
            reply.set_result(found)
