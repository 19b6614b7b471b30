"""Locations that clients register: rows that come and go without an upload.

As in ``transitions.py`` an image's row is locked first, its lease second and the counters
of projects last. While somebody looks at registered bytes (``registrations.py``) his lease
stays what it is, whatever is done to the locations here.
"""

import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, tuple_, update

from imageservice.db import copies, record, usage
from imageservice.db.engine import Database
from imageservice.db.tables import image_locations
from imageservice.db.transitions import NO_BYTES
from imageservice.db.usage import Used
from imageservice.domain.allowance import Allowance
from imageservice.domain.image import Image, Location
from imageservice.domain.lease import REMOVE


class Claimant(NamedTuple):
    """Who takes a lease, and what for."""

    token: str
    worker: str
    purpose: str


class Move(NamedTuple):
    """An image before and after its locations were changed.

    What is added counts against ``allowance``. ``claimant`` is to look at what was added,
    or removes what was removed; None: neither is to be done.
    """

    before: Image
    after: Image
    allowance: Allowance
    claimant: Claimant | None = None


class Moved(NamedTuple):
    """The image as it is now. ``removed`` are hidden; ``is_ours``: the lease is.

    It is not if none was asked for, or if somebody is looking at the image's locations
    already, and will at these.
    """

    image: Image
    removed: tuple[Location, ...]
    is_ours: bool


class Locations:
    """Changes that a patch asks for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def relocate(self, move: Move, now: datetime.datetime) -> Moved:
        """Write what differs, as ``Images.update`` does, and the locations.

        Raises ImageChanged, ImageNotFound, ImageLeased, ProjectLimit.
        """
        before, after = move.before, move.after
        is_ours = self._database.write(
            lambda connection: _relocate(connection, move, now)
        )
        kept = {at.spot for at in after.locations}
        removed = tuple(at for at in before.locations if at.spot not in kept)
        updated = record.arranged(after, version=before.version + 1, updated_at=now)
        return Moved(updated, removed, is_ours)


def _relocate(connection: Connection, move: Move, now: datetime.datetime) -> bool:
    before, after, claimant = move.before, move.after, move.claimant
    stored = usage.copies(connection, before.id) * (before.size or 0)
    also = {}
    if after.status != before.status:
        also = {"status": after.status}
        also |= {name: getattr(after, name) for name in NO_BYTES}
    record.amend(connection, before, after, now, **also)
    _place(connection, before, after, claimant)
    is_ours = claimant is not None and copies.take(connection, before.id, *claimant)
    total = usage.copies(connection, before.id) * (after.size or 0)
    if after.owner != before.owner:
        mine, its = Used(images=1, bytes=stored), Used(images=1, bytes=total)
        usage.add(connection, (before.owner, mine.minus()), (after.owner, its))
    elif total > stored:
        taken = Used(bytes=total - stored)
        usage.take(connection, after.owner, taken, move.allowance)
    else:
        usage.add(connection, (after.owner, Used(bytes=total - stored)))
    return is_ours


def _place(
    connection: Connection, before: Image, after: Image, claimant: Claimant | None
) -> None:
    """Write all locations anew, in their order; hide those whose bytes are to go."""
    mine = image_locations.c.image_id == before.id
    active = image_locations.c.status == copies.ACTIVE
    if claimant is not None and claimant.purpose == REMOVE:
        kept = [at.spot for at in after.locations]
        spot = tuple_(image_locations.c.store, image_locations.c.url)
        removed = (mine, active, spot.not_in(kept))
        connection.execute(
            update(image_locations).where(*removed).values(status=copies.DOOMED)
        )
    connection.execute(delete(image_locations).where(mine, active))
    connection.execute(
        insert(image_locations), [copies.row(before.id, at) for at in after.locations]
    )
