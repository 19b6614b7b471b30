"""Housekeeping: take over what dead workers left, and finish it.

A worker is dead when the beat of its lease has not moved for ``LOST_AFTER_S`` on the
*watcher's* monotonic clock. Nobody's wall clock matters, and a restarted service waits
that long at most: an upload cut off by ``kill -9`` is undone within 30 s.
"""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from imageservice import errors
from imageservice.db import images as image_rows
from imageservice.db import leases as lease_rows
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


class Sighting(NamedTuple):
    beat: int
    since: float  # monotonic seconds


class Housekeeping:
    """One per process. ``jobs`` are run beside the requests for ever.

    Looking and cleaning up are two jobs, so that a store that is slow to clean up keeps
    nobody from noticing the next dead worker.
    """

    def __init__(
        self,
        images: image_rows.Images,
        rows: lease_rows.Leases,
        held: Leases,
        stores: registry.Stores,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._images = images
        self._rows = rows
        self._held = held
        self._stores = stores
        self._clock = clock
        self._sightings: dict[str, Sighting] = {}
        self._last_watch = clock()

    @property
    def jobs(self) -> tuple[Callable[[Stop], None], ...]:
        """What the server runs beside the requests, each until its ``stop`` is set."""
        return (
            lambda stop: _repeat(self._held.beat, BEAT_INTERVAL_S, stop),
            lambda stop: _repeat(self.look, WATCH_INTERVAL_S, stop),
            lambda stop: _repeat(self.clean_up, WATCH_INTERVAL_S, stop),
        )

    def look(self) -> None:
        """Take over what dead workers left, as if this process had abandoned it."""
        for lease in self._lost():
            LOG.warning(
                "image %s: its worker is gone, cleaning up after it", lease.image_id
            )
            self._held.abandon(lease)
        for image_id in self._rows.unowned_doomed():
            lease = self._held.begin(image_id, "")
            if self._rows.adopt(image_id, lease.token, self._held.worker):
                self._held.abandon(lease)

    def clean_up(self) -> None:
        """Finish what this process has abandoned; what fails is tried again next time."""
        for lease in self._held.abandoned():
            try:
                self._settle(lease)
            except errors.Error as error:
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
        rows = [row for row in self._rows.watch() if not self._held.knows(row.token)]
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
            if now - self._sightings[row.token].since < LOST_AFTER_S:
                continue
            lease = self._held.begin(row.image_id, row.store)
            if self._rows.take_over(
                row.image_id, row.token, row.beat, lease.token, self._held.worker
            ):
                taken.append(lease)
        return taken

    def _settle(self, lease: Lease) -> None:
        """Undo the upload, or end the deletion, that ``lease`` (ours) stands for."""
        if not self._rows.renew(lease.image_id, lease.token):
            # It had been settled after all: the answer of the database got lost.
            self._held.settled(lease)
            return
        if lease.store:
            self._stores.get(lease.store).driver.discard(lease.image_id)
        for location in self._images.locations(lease.image_id):
            self._delete(location.store, location.url)
        self._images.release(lease.token, lease.image_id, utcnow())
        self._held.settled(lease)
        LOG.info("image %s: cleaned up", lease.image_id)

    def _delete(self, store: str, url: str) -> None:
        try:
            self._stores.get(store).driver.delete(url)
        except (errors.KeyNotFound, errors.Unsupported) as error:
            LOG.info("nothing to remove: %s", error)


def _repeat(job: Callable[[], None], interval_s: float, stop: Stop) -> None:
    while not stop.wait(interval_s):
        try:
            job()
        except errors.Error as error:
            LOG.warning("housekeeping: %s", error)
        except Exception:
            # The next round may succeed, and without beats every upload would be undone.
            LOG.exception("housekeeping failed")
