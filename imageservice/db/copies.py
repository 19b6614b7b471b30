"""Copies of finished images, in several stores: one more, or one less.

As in ``transitions.py`` an image's row is locked first, its lease second and the counters
of projects last. An image may be doomed at any moment: then whoever holds its lease
has to let housekeeping remove all of its bytes, and ends no lease himself.
"""

import datetime
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from imageservice import errors
from imageservice.db import transitions, usage
from imageservice.db.engine import Database
from imageservice.db.tables import image_locations, images, leases
from imageservice.db.transitions import Ended, Locked, Room
from imageservice.db.usage import Used
from imageservice.domain.image import HIDDEN_STATUSES, Location
from imageservice.domain.lease import COPY, REMOVE, REWRITE, VERIFY

FINISHED = ("active", "deactivated")

ACTIVE, DOOMED = "active", "pending_delete"  # of image_locations

Change = Callable[[Connection, Locked, Ended], None]


class Copies:
    """Rows of image_locations, beyond the first that an upload makes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self, image_id: str, token: str, worker: str, store: str, room: Room
    ) -> None:
        """Take the right to write a copy into ``store``, and room for it.

        Raises ImageNotFound, ImageUnfinished, CopyExists, ProjectLimit, ImageLeased if
        somebody else has the right.
        """

        def transaction(connection: Connection) -> None:
            _finished(connection, image_id)
            if any(row.store == store for row in _rows(connection, image_id)):
                raise errors.CopyExists(image_id=image_id, store=store)
            transitions.take_lease(
                connection, image_id, token, worker, store, COPY, room
            )

        self._database.write(transaction)

    def claim_anew(
        self, image_id: str, copy: Location, token: str, worker: str
    ) -> None:
        """Take the right to write one of several copies again; its row stays meanwhile.

        Raises ImageNotFound, ImageUnfinished, ImageLeased, LastCopy, CopyNotFound.
        """

        def transaction(connection: Connection) -> None:
            _one_of_several(connection, image_id, copy)
            transitions.take_lease(
                connection,
                image_id,
                token,
                worker,
                copy.store,
                REWRITE,
                transitions.NO_CHARGE,
            )

        self._database.write(transaction)

    def attach(
        self,
        token: str,
        image_id: str,
        copy: Location,
        now: datetime.datetime,
        instead: Location | None = None,
    ) -> None:
        """Make a written copy one of the image's, and end the lease.

        It has the row, and the place among the others, of the one that it was written
        ``instead`` of. Raises ImageGone if the image is doomed or gone, LeaseLost; the bytes are then
        still the caller's to remove.
        """

        def transaction(connection: Connection) -> None:
            found = transitions.locked(connection, image_id)
            if found is None or found.status in HIDDEN_STATUSES:
                raise errors.ImageGone(image_id=image_id)
            ended = transitions.end_lease(connection, image_id, token)
            if ended is None:
                raise errors.LeaseLost(image_id=image_id)
            taken = Used()
            if instead is None or not _rewritten(connection, image_id, instead, copy):
                connection.execute(insert(image_locations), row(image_id, copy))
                taken = Used(bytes=found.size or 0)
            touch(connection, image_id, now)
            usage.add(connection, ended.given_back, (found.owner, taken))

        self._database.write(transaction)

    def doom(
        self,
        image_id: str,
        copy: Location,
        token: str,
        worker: str,
        now: datetime.datetime,
    ) -> bool:
        """Hide one copy, whose bytes are to be removed, and take the lease for that.

        False: as ``take``. Raises ImageNotFound, ImageUnfinished, ImageLeased, LastCopy,
        CopyNotFound.
        """

        def transaction(connection: Connection) -> bool:
            mine = _one_of_several(connection, image_id, copy)
            hide = update(image_locations).where(image_locations.c.id == mine)
            connection.execute(hide.values(status=DOOMED))
            touch(connection, image_id, now)
            return take(connection, image_id, token, worker, REMOVE)

        return self._database.write(transaction)

    def spare(self, token: str, image_id: str, now: datetime.datetime) -> bool:
        """Undo ``doom``. False, and the lease stays, if the image itself is doomed."""

        def change(connection: Connection, image: Locked, ended: Ended) -> None:
            back = update(image_locations).where(_hidden_of(image_id))
            connection.execute(back.values(status=ACTIVE))
            touch(connection, image_id, now)
            usage.add(connection, ended.given_back)

        return self._end(token, image_id, change)

    def bury(self, token: str, image_id: str) -> bool:
        """Remove the rows of hidden copies, whose bytes are gone, and end the lease.

        False, and the lease stays, if the image itself is doomed.
        """

        def change(connection: Connection, image: Locked, ended: Ended) -> None:
            rows = delete(image_locations).where(_hidden_of(image_id))
            copies = connection.execute(rows).rowcount
            gone = (image.owner, Used(bytes=-copies * (image.size or 0)))
            usage.add(connection, ended.given_back, gone)

        return self._end(token, image_id, change)

    def _end(self, token: str, image_id: str, change: Change) -> bool:
        def transaction(connection: Connection) -> bool:
            image = transitions.locked(connection, image_id)
            if image is None:
                return True
            if image.status in HIDDEN_STATUSES:
                return False
            ended = transitions.end_lease(connection, image_id, token)
            if ended is not None:
                change(connection, image, ended)
            return True

        return self._database.write(transaction)


def take(
    connection: Connection, image_id: str, token: str, worker: str, purpose: str
) -> bool:
    """Take the lease of a locked image for what was done to its locations.

    False if somebody is looking at them: he sees to it. Raises ImageLeased.
    """
    held = select(leases.c.purpose).where(leases.c.image_id == image_id)
    if connection.scalar(held.with_for_update()) == VERIFY:
        return False
    transitions.take_lease(
        connection, image_id, token, worker, "", purpose, transitions.NO_CHARGE
    )
    return True


def row(image_id: str, copy: Location) -> dict[str, object]:
    """The row of an active copy."""
    return {
        "image_id": image_id,
        "store": copy.store,
        "url": copy.url,
        "metadata": orjson.dumps(copy.metadata).decode(),
    }


def _finished(connection: Connection, image_id: str) -> None:
    """Lock an image. Raises ImageNotFound, ImageUnfinished unless its bytes are there."""
    found = transitions.locked(connection, image_id)
    if found is None or found.status in HIDDEN_STATUSES:
        raise errors.ImageNotFound(image_id=image_id)
    if found.status not in FINISHED:
        raise errors.ImageUnfinished(image_id=image_id, status=found.status)


def _one_of_several(connection: Connection, image_id: str, copy: Location) -> int:
    """Lock an image; return the id of its copy's row.

    Raises ImageNotFound, ImageUnfinished, LastCopy, CopyNotFound.
    """
    _finished(connection, image_id)
    active = [row for row in _rows(connection, image_id) if row.status == ACTIVE]
    if len(active) == 1:
        raise errors.LastCopy(image_id=image_id)
    for each in active:
        if (each.store, each.url) == copy.spot:
            return int(each.id)
    raise errors.CopyNotFound(image_id=image_id, store=copy.store)


def _rewritten(
    connection: Connection, image_id: str, old: Location, new: Location
) -> bool:
    """Let the row of one copy be that of another; False if it has gone meanwhile."""
    mine = update(image_locations).where(
        image_locations.c.image_id == image_id,
        image_locations.c.store == old.store,
        image_locations.c.url == old.url,
        image_locations.c.status == ACTIVE,
    )
    return connection.execute(mine.values(row(image_id, new))).rowcount > 0


def _rows(connection: Connection, image_id: str) -> Sequence[Any]:
    return connection.execute(_ROWS, {"id": image_id}).all()


def _hidden_of(image_id: str) -> ColumnElement[bool]:
    return and_(
        image_locations.c.image_id == image_id, image_locations.c.status == DOOMED
    )


def touch(connection: Connection, image_id: str, now: datetime.datetime) -> None:
    connection.execute(
        update(images)
        .where(images.c.id == image_id)
        .values(version=images.c.version + 1, updated_at=now)
    )


_COLUMNS = [image_locations.c[name] for name in ("id", "store", "url", "status")]
_ROWS = select(*_COLUMNS).where(image_locations.c.image_id == bindparam("id"))
