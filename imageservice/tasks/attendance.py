"""Looking after the stores: each is set up at the start, and looked at from then on.

Beside the requests, so that a store that is down, or hangs, neither stops nor delays the
start, and each by itself, so that none waits for another
(docs/adr/0022-stores-that-are-down.md).
"""

import functools
import logging
import random
from collections.abc import Callable, Iterable

from imageservice.stores.registry import Store
from imageservice.tasks.housekeeping import Stop

LOG = logging.getLogger(__name__)

INTERVAL_S = 30.0
"""Seconds between two looks at a store that works; most between two at one that does not."""

FIRST_PAUSE_S = 1.0
"""Seconds until a store that does not work is looked at again; doubles each time."""

NOTICE_S = 1.0


class Attendance:
    """One per process. ``is_new`` tells whether no image can lie in the store of an id."""

    def __init__(
        self,
        stores: Iterable[Store],
        is_new: Callable[[str], bool],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._stores = tuple(stores)
        self._is_new = is_new
        self._interval_s = interval_s
        self._set_up: set[str] = set()
        self._silent: set[str] = set()
        self._failures: dict[str, int] = {}  # in a row

    @property
    def jobs(self) -> tuple[Callable[[Stop], None], ...]:
        """What the server runs beside the requests, each until its ``stop`` is set."""
        looking = (functools.partial(self._attend, store) for store in self._stores)
        return (*looking, self._notice)

    def look(self, store: Store) -> float:
        """Look at a store and log what is new; return the seconds until the next look."""
        trouble = store.condition.look(functools.partial(self._check, store))
        self._silent.discard(store.id)
        failures = self._failures.get(store.id, 0)
        if trouble is None:
            if failures:
                LOG.warning("store %s works again", store.id)
            self._failures[store.id] = 0
            return self._interval_s
        self._failures[store.id] = failures + 1
        pause: float = min(FIRST_PAUSE_S * 2 ** min(failures, 16), self._interval_s)
        LOG.error(
            "store %s %s: %s. It is looked at again in %.0f s",
            store.id,
            "still does not work" if failures else "does not work",
            trouble,
            pause,
        )
        return pause

    def _check(self, store: Store) -> None:
        if store.id not in self._set_up and self._is_new(store.id):
            store.driver.create()
        store.driver.check()
        self._set_up.add(store.id)

    def _attend(self, store: Store, stop: Stop) -> None:
        # Spread, or all workers of all machines would ask at the same moments.
        spread = random.SystemRandom().uniform
        while not stop.wait(self.look(store) * spread(0.8, 1.0)):
            pass

    def _notice(self, stop: Stop) -> None:
        """Log that a store hangs while its look still waits for an answer."""
        while not stop.wait(NOTICE_S):
            for store in self._stores:
                if store.condition.silence_s is None or store.id in self._silent:
                    continue
                self._silent.add(store.id)
                LOG.error(
                    "store %s hangs: %s. Requests to it are refused until it answers",
                    store.id,
                    store.condition.trouble,
                )
