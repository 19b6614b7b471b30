"""Locks of keys, kept in the bucket: who ends a write or discards one holds its lock."""

import contextlib
import logging
import secrets
import time
from collections.abc import Iterator

from imageservice import errors
from imageservice.stores.bucket import Bucket
from imageservice.stores.calls import ATTEMPTS, Lost, nap

LOG = logging.getLogger(__name__)

PREFIX = ".publishing/"
"""Beginning of the names of locks; keys of images hold no slash."""

ROUNDS = 6
"""How often a lock is tried, some 6 s in all: most are held for milliseconds."""

SETTLING = 4
"""The nap, 1.6 s, after which it is clear who of those that broke a lock has it."""

TIDIED = 5
"""Locks left behind that are given back when another one is."""


class Locks:
    """The locks that one process takes. What it could not give back it knows for its own:
    the next of its threads that wants that key does not wait for it.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._left: dict[str, str] = {}  # key: the word in a lock that may be left

    @contextlib.contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Hold the lock of a key for a while. Raises StoreUnavailable if another has it."""
        # One thread alone gets the word of what was left.
        left = self._left.pop(key, None)
        word = left or secrets.token_hex(16)
        try:
            self._take(key, word, is_left=left is not None)
        except errors.Error as error:
            if left or isinstance(error, Lost):
                self._left[key] = word  # it may be there
            raise
        until = time.monotonic() + self.longest_s
        try:
            yield
        finally:
            # After that it may have been broken, and be another's.
            if self._give_back(key, word, is_sure=time.monotonic() < until):
                self._tidy()

    def _take(self, key: str, word: str, *, is_left: bool) -> None:
        for attempt in range(ROUNDS):
            if self._bucket.put_new(PREFIX + key, word):
                return
            held = self._bucket.find(PREFIX + key)
            if held is None:
                continue
            if held.writer == word and not is_left:
                return  # the first answer was lost, and the call made again
            if held.writer == word or held.age_s >= self.longest_s:
                LOG.warning(
                    "store %s: the lock of %s is %d s old and was left behind",
                    self._bucket.store, key, held.age_s,
                )  # fmt: skip
                if self._take_over(key, word):
                    return
                is_left = False
            else:
                nap(attempt)
        reason = f"{key} is being published or discarded"
        raise errors.StoreUnavailable(store=self._bucket.store, reason=reason)

    def _take_over(self, key: str, word: str) -> bool:
        """Put our word into a lock that was left behind; others may do so, too.

        It is never removed: whoever found it free between would have it as well.
        """
        try:
            self._bucket.put(PREFIX + key, word)
            nap(SETTLING)
            held = self._bucket.find(PREFIX + key)
        except BaseException:
            self._left[key] = word  # it may be there
            raise
        return held is not None and held.writer == word

    def _give_back(self, key: str, word: str, *, is_sure: bool) -> bool:
        """Remove the lock; unless ``is_sure`` that it is ours, look first."""
        name = PREFIX + key
        try:
            if not is_sure:
                held = self._bucket.find(name)
                if held is None or held.writer != word:
                    return True
            self._bucket.remove(name)
        except errors.Error as error:
            self._left[key] = word
            LOG.warning(
                "store %s: %s is left for now: %s", self._bucket.store, name, error
            )
            return False
        return True

    def _tidy(self) -> None:
        """Give back what could not be given back before."""
        for key in list(self._left)[:TIDIED]:
            word = self._left.pop(key, None)
            if word and not self._give_back(key, word, is_sure=False):
                return

    @property
    def longest_s(self) -> int:
        """Seconds that one holds a lock at most: four calls, and what is between.

        The lock of one who died is free after that.
        """
        plan = self._bucket.plan
        return 5 * ATTEMPTS * (plan.connect_s + plan.read_s)
