"""Whether a store works, as it was last seen; requests need not find out for themselves.

Somebody looks now and then (``tasks/attendance.py``), and requests read what was seen. A
store that answers at once that it cannot work is still asked by each request: it
may have come back. One that does not answer at all is not, until it does: every request
would hang in turn, and with it a thread, a connection and a client.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from imageservice import errors

LOG = logging.getLogger(__name__)

PATIENCE_S = 10.0
"""Seconds without an answer after which a store hangs."""


class Seen(NamedTuple):
    """What came of a look, in words for users; None if all was well."""

    trouble: str | None
    took_s: float

    @property
    def hung(self) -> bool:
        return self.trouble is not None and self.took_s >= PATIENCE_S


class Condition:
    """Of one store in one process. One looks at a time, anybody may ask."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None  # the look that is under way
        self._seen: Seen | None = None
        self._first = threading.Event()  # set when a look has ended

    def look(self, check: Callable[[], None]) -> str | None:
        """Call ``check``, remember what came of it, and return the trouble if there was any."""
        self._began = began = self._clock()
        trouble: str | None = "looking at it failed; see the log"
        try:
            check()
            trouble = None
        except errors.Error as error:
            trouble = str(error.values.get("reason", error))
        except Exception:
            # A driver of others may raise anything: the store is in trouble, not its keeper.
            LOG.exception("a store could not be looked at")
        finally:
            self._seen = Seen(trouble, self._clock() - began)
            self._began = None
            self._first.set()
        return trouble

    @property
    def silence_s(self) -> float | None:
        """Seconds for which a look has had no answer, None if it is not late yet."""
        began = self._began  # once: a thread that looks may end between two reads
        waited = 0.0 if began is None else self._clock() - began
        return waited if waited >= PATIENCE_S else None

    @property
    def trouble(self) -> str | None:
        """Why the store does not work, None if it does or nobody knows yet."""
        silence = self.silence_s
        if silence is not None:
            return f"it has not answered for {silence:.0f} s"
        return self._seen.trouble if self._seen else None

    def require(self, store: str) -> None:
        """Let a request go on to the store; waits while it is set up for the first time.

        Raises StoreUnavailable if the store hangs.
        """
        began = self._began
        if began is not None and not self._first.is_set():
            self._first.wait(began + PATIENCE_S - self._clock())
        if self.silence_s is not None or (self._seen and self._seen.hung):
            raise errors.StoreUnavailable(store=store, reason=self.trouble)
