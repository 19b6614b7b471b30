"""Housekeeping: take over what dead workers left, and finish it.

A worker is dead when the beat of its lease has not moved for ``LOST_AFTER_S`` on the
*watcher's* monotonic clock. Nobody's wall clock matters, and a restarted service waits
that long at most: an upload cut off by ``kill -9`` is undone within 30 s.
"""

import functools
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from imageservice import errors
from imageservice.db import images as image_rows
from imageservice.db import leases as lease_rows
from imageservice.db.copies import Copies
from imageservice.db.inventory import Inventory
from imageservice.domain.lease import DELETE, REMOVE, REWRITE, VERIFY
from imageservice.services.images import utcnow
from imageservice.services.interfaces import Lease
from imageservice.services.leases import BEAT_INTERVAL_S, Leases
from imageservice.stores import registry

LOG = logging.getLogger(__name__)

LOST_AFTER_S = 15.0
WATCH_INTERVAL_S = 3.0


class Stop(Protocol):
    """Set when the process ends; as ``threading.Event``."""

    def wait(self, timeout: float) -> bool: ...


class Waiting(Exception):
    """The store that is needed has just failed for another image."""


class Sighting(NamedTuple):
    beat: int
    since: float  # monotonic seconds


class Housekeeping:
    """One per process. ``jobs`` are run beside the requests for ever.

    Looking is a job of its own, and so is cleaning up after the writers of each store: one
    that is slow keeps nobody from noticing the next dead worker, nor other stores from being
    cleaned up. A process that does not ``verify`` leaves leases of this purpose to those that
    do.
    """

    def __init__(
        self,
        images: image_rows.Images,
        copies: Copies,
        inventory: Inventory,
        rows: lease_rows.Leases,
        held: Leases,
        stores: registry.Stores,
        verify: Callable[[Lease], None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._images = images
        self._copies = copies
        self._inventory = inventory
        self._rows = rows
        self._held = held
        self._stores = stores
        self._verify = verify
        self._clock = clock
        self._sightings: dict[str, Sighting] = {}
        self._last_watch = clock()
        self._failures: Counter[str] = Counter()  # of tokens, in clearing up
        self._refused: set[str] = set()  # images that a store did not let us clean up

    @property
    def jobs(self) -> tuple[Callable[[Stop], None], ...]:
        """What the server runs beside the requests, each until its ``stop`` is set."""
        ids = [store.id for store in self._stores.all]

        def writers(store: str, stop: Stop) -> None:
            _repeat(
                lambda: self._clean_up(lambda at: at == store), WATCH_INTERVAL_S, stop
            )

        def others(stop: Stop) -> None:
            _repeat(
                lambda: self._clean_up(lambda at: at not in ids), WATCH_INTERVAL_S, stop
            )

        return (
            lambda stop: _repeat(self._held.beat, BEAT_INTERVAL_S, stop),
            lambda stop: _repeat(self.look, WATCH_INTERVAL_S, stop),
            others,
            *(functools.partial(writers, store) for store in ids),
        )

    def look(self) -> None:
        """Take over what dead workers left, as if this process had abandoned it."""
        for lease in self._lost():
            LOG.warning(
                "image %s: its worker is gone, cleaning up after it", lease.image_id
            )
            self._held.abandon(lease)
        for image_id in self._rows.unowned_doomed():
            lease = self._held.begin(image_id, "", DELETE)
            if self._rows.adopt(image_id, lease.token, self._held.worker):
                self._held.abandon(lease)

    def clean_up(self) -> None:
        """Finish what this process has abandoned; what fails is tried again next time."""
        self._clean_up(lambda store: True)

    def _clean_up(self, is_mine: Callable[[str], bool]) -> None:
        """The same for the leases of some stores; "" for those of no store."""
        hanging: set[str] = set()  # stores that did not answer in this round
        # Who failed most goes last: one that never succeeds would keep its store's others
        # waiting for ever.
        abandoned = self._held.abandoned()
        failures = {lease.token: self._failures[lease.token] for lease in abandoned}
        self._failures = Counter(failures)
        mine = [lease for lease in abandoned if is_mine(lease.store)]
        for lease in sorted(mine, key=lambda lease: failures[lease.token]):
            try:
                self._settle(lease, hanging)
                self._refused.discard(lease.image_id)
            except Waiting as error:
                LOG.info("image %s: cleaning up later: %s", lease.image_id, error)
            except (errors.StoreDenied, errors.StoreUnknown) as error:
                # After a SIGHUP another process has newer keys, or knows the store, and we
                # may live for a while. Nobody beats this lease from now on, so it takes
                # over; or we do, and see whether it is of another store by then.
                LOG.warning("image %s: left to others: %s", lease.image_id, error)
                self._refused.add(lease.image_id)
                self._held.settled(lease)
            except errors.Error as error:
                self._failures[lease.token] += 1
                if isinstance(error, errors.NoAnswer | errors.RemainsLeft):
                    hanging.add(str(error.values["store"]))
                LOG.warning("image %s: cleaning up later: %s", lease.image_id, error)
            except Exception:
                # The others must not wait for the one that nobody has thought of.
                LOG.exception("image %s: cleaning up later", lease.image_id)

    def _lost(self) -> list[Lease]:
        """Take over the leases whose beat stands still; return those now ours."""
        now = self._clock()
        if now - self._last_watch > LOST_AFTER_S / 2:
            # We could not look for a while (the database was away, this process was
            # stopped): the owners may not have been able to beat either.
            self._sightings.clear()
        rows = [row for row in self._rows.watch() if self._is_watched(row)]
        self._last_watch = now
        seen = self._sightings
        self._sightings = {
            row.token: seen[row.token]
            if row.token in seen and seen[row.token].beat == row.beat
            else Sighting(row.beat, now)
            for row in rows
        }
        taken = []
        for row in rows:
            # Whoever was refused lets others try first, and tries again after that.
            rounds = 2 if row.image_id in self._refused else 1
            if now - self._sightings[row.token].since < rounds * LOST_AFTER_S:
                continue
            lease = self._held.begin(row.image_id, row.store, row.purpose)
            if self._rows.take_over(
                row.image_id, row.token, row.beat, lease.token, self._held.worker
            ):
                taken.append(lease)
        return taken

    def _is_watched(self, row: lease_rows.Watched) -> bool:
        if row.purpose == VERIFY and self._verify is None:
            return False
        return not self._held.knows(row.token)

    def _settle(self, lease: Lease, hanging: Collection[str]) -> None:
        """Undo the upload, or end the deletion, that ``lease`` (ours) stands for."""
        if not self._rows.renew(lease.image_id, lease.token):
            # It had been settled after all: the answer of the database got lost.
            self._held.settled(lease)
            return
        remains = self._images.remains(lease.image_id)
        if self._verify and lease.purpose == VERIFY and not remains.is_doomed:
            self._held.resume(lease)
            self._verify(lease)
            return
        if lease.store:
            self._discard(lease, hanging, is_doomed=remains.is_doomed)
        for at in remains.locations:
            _require_answering(self._stores.holding(at.store, at.url), hanging)
            self._stores.remove(at.store, at.url)
        if not self._end(lease, is_doomed=remains.is_doomed):
            return  # doomed since we looked: the next round removes the other copies, too
        self._held.settled(lease)
        LOG.info("image %s: cleaned up", lease.image_id)

    def _discard(
        self, lease: Lease, hanging: Collection[str], *, is_doomed: bool
    ) -> None:
        """Remove what a writer has left, unless it is not his: some row names what lies there.

        The image's own rows do not count if what they name is to go, or was to go first.
        """
        store = self._stores.get(lease.store)
        _require_answering(store, hanging)
        driver, key = store.ready(), lease.image_id
        spares_own = not is_doomed and lease.purpose != REWRITE
        for at, copy in self._inventory.naming(key):
            is_counted = spares_own or copy.image_id != key
            if is_counted and self._stores.may_hold(store, key, at, copy.url):
                LOG.warning(
                    "image %s: nothing is removed in store %s: image %s has a location there",
                    *(key, store.id, copy.image_id),
                )
                return
        driver.discard(key)

    def _end(self, lease: Lease, *, is_doomed: bool) -> bool:
        if lease.purpose == REMOVE and not is_doomed:
            return self._copies.bury(lease.token, lease.image_id)
        return self._images.release(
            lease.token, lease.image_id, utcnow(), emptied=is_doomed
        )


def _require_answering(store: registry.Store, hanging: Collection[str]) -> None:
    if store.id in hanging:
        # Each call would cost its timeout anew, and other leases wait.
        raise Waiting(f"store {store.id} did not answer just now")


def _repeat(job: Callable[[], None], interval_s: float, stop: Stop) -> None:
    while not stop.wait(interval_s):
        try:
            job()
        except errors.Error as error:
            LOG.warning("housekeeping: %s", error)
        except Exception:
            # The next round may succeed, and without beats every upload would be undone.
            LOG.exception("housekeeping failed")
