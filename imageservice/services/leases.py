"""The leases that this process holds: kept alive by beats, checked while bytes move.

A lease is a row that says which worker is writing or deleting an image's bytes. Its
``beat`` grows every few seconds while the worker lives; nobody compares clocks. The
other half, taking over what no longer beats, is ``tasks/housekeeping.py``.
"""

import contextlib
import logging
import uuid
from collections.abc import Iterator

from imageservice import errors
from imageservice.db import leases as rows
from imageservice.services.interfaces import Lease

LOG = logging.getLogger(__name__)

BEAT_INTERVAL_S = 3.0


class Leases:
    """One per process. ``worker`` names the process in the database, never re-used."""

    def __init__(self, leases: rows.Leases) -> None:
        self.worker = str(uuid.uuid4())
        self._rows = leases
        self._held: dict[str, Lease] = {}
        self._trouble: dict[str, errors.Error] = {}  # of leases that are held
        self._abandoned: dict[str, Lease] = {}

    def begin(self, image_id: str, store: str, purpose: str) -> Lease:
        """Name a lease; it counts once its row is written, see ``taking``."""
        return Lease(image_id, str(uuid.uuid4()), store, purpose)

    @contextlib.contextmanager
    def taking(self, lease: Lease) -> Iterator[None]:
        """Hold ``lease`` if the block writes its row.

        When the database's answer gets lost nobody knows whether the row is there:
        then housekeeping is to look, and to undo it.
        """
        try:
            yield
        except errors.Unavailable:
            self.abandon(lease)
            raise
        except errors.Error:
            raise
        except BaseException:
            self.abandon(lease)
            raise
        self._held[lease.token] = lease

    @contextlib.contextmanager
    def ending(self, lease: Lease) -> Iterator[None]:
        """End ``lease`` if the block removes its row, else leave it to housekeeping."""
        try:
            yield
        except BaseException:
            self.abandon(lease)
            raise
        self.end(lease)

    def end(self, lease: Lease) -> None:
        self._held.pop(lease.token, None)
        self._trouble.pop(lease.token, None)

    def holds(self, lease: Lease) -> None:
        """Raise what the last beat found out about this lease, if it was bad news."""
        trouble = self._trouble.get(lease.token)
        if trouble is not None:
            raise trouble

    def confirm(self, lease: Lease) -> None:
        """Raise LeaseLost unless the lease is ours at this moment."""
        self.holds(lease)
        if not self._rows.is_held(lease.image_id, lease.token):
            raise errors.LeaseLost(image_id=lease.image_id)

    def abandon(self, lease: Lease) -> None:
        """Hand a lease of this process over to housekeeping, at its next round."""
        self.end(lease)
        self._abandoned[lease.token] = lease

    def knows(self, token: str) -> bool:
        return token in self._held or token in self._abandoned

    def abandoned(self) -> list[Lease]:
        return list(self._abandoned.values())

    def resume(self, lease: Lease) -> None:
        """Hold a lease again that was abandoned, or taken over from a dead worker."""
        self._held[lease.token] = lease
        self._abandoned.pop(lease.token, None)

    def settled(self, lease: Lease) -> None:
        self._abandoned.pop(lease.token, None)

    def beat(self) -> None:
        """Tell the other workers that this one lives, and learn which leases are void."""
        tokens = [*self._held, *self._abandoned]
        if not tokens:
            return
        beaten = self._rows.beat(tokens)
        for token in tokens:
            lease = self._held.get(token)
            if lease is None or token in self._trouble:
                continue
            state = beaten.get(token)
            if state is None:
                LOG.warning("image %s: another worker took over", lease.image_id)
                self._trouble[token] = errors.LeaseLost(image_id=lease.image_id)
            elif state.is_doomed:
                self._trouble[token] = errors.ImageGone(image_id=lease.image_id)
