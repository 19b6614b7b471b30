"""What Keystone said of tokens, kept for a while in this process.

keystonemiddleware's own cache in memory walks through all its tokens at each request,
and forgets none before its time; it takes a better one from a request's environment.
"""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from cachetools import TLRUCache

CAPACITY = 16 * 1024 * 1024
"""Bytes of answers that are kept; one has 1 to 20 kB, by the length of the catalog."""


class _Answer(NamedTuple):
    document: bytes
    lifetime_s: float


class Tokens:
    """A cache as keystonemiddleware calls it: hashes of tokens to Keystone's answers.

    When it is full, what was not used for longest goes.
    """

    def __init__(
        self, capacity: int = CAPACITY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._turn = threading.Lock()
        self._answers: TLRUCache[str, _Answer] = TLRUCache(
            capacity,
            ttu=lambda _key, answer, now: now + answer.lifetime_s,
            timer=clock,
            getsizeof=lambda answer: len(answer.document),
        )

    def get(self, key: str) -> bytes | None:
        """Return the answer kept under ``key``, None if there is none that counts."""
        with self._turn:
            found = self._answers.get(key)
        return None if found is None else found.document

    def set(self, key: str, document: bytes, time: int = 0) -> None:
        """Keep an answer for ``time`` seconds; not at all if it is larger than the cache."""
        if len(document) > self._answers.maxsize:
            return
        with self._turn:
            self._answers[key] = _Answer(document, time)
