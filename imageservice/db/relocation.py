"""Stored locations, as they are rewritten when stores or their forms have changed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, select, update

from imageservice.db.engine import Database
from imageservice.db.tables import image_locations, images


class Row(NamedTuple):
    """A copy of an image's bytes: which store, and that store's URL."""

    id: int
    image_id: str
    store: str
    url: str


class Move(NamedTuple):
    """What a row is to say instead."""

    row: Row
    store: str
    url: str


class Moved(NamedTuple):
    """How many rows were rewritten; ``taken`` were not: the image has that place already."""

    rewritten: int
    taken: list[Row]


class Locations:
    def __init__(self, database: Database) -> None:
        self._database = database

    def after(self, last: int, count: int) -> Sequence[Row]:
        """The next ``count`` rows, in the order in which they were made."""
        values = {"last": last, "count": count}
        return [Row._make(found) for found in self._database.read(_AFTER, values)]

    def move(self, moves: Sequence[Move]) -> Moved:
        """Rewrite rows in one transaction.

        A row that has changed since it was read is left as it is. Whoever is about to
        write back what he read of an image before learns that it has changed.
        """
        values = [
            {
                "key": row.id,
                "image": row.image_id,
                "old_store": row.store,
                "old_url": row.url,
                "new_store": store,
                "new_url": url,
            }
            for row, store, url in moves
        ]

        def rewrite(connection: Connection) -> Moved:
            rewritten, taken = 0, []
            for move, each in zip(moves, values, strict=True):
                connection.execute(_TOUCH, each)  # first, as all who change an image do
                if connection.execute(_TAKEN, each).first():
                    # To remove one of two copies in one place is to remove both.
                    taken.append(move.row)
                else:
                    rewritten += connection.execute(_MOVE, each).rowcount
            return Moved(rewritten, taken)

        return self._database.write(rewrite) if values else Moved(0, [])


_COLUMNS = image_locations.c

_AFTER: Select[Any] = (
    select(_COLUMNS.id, _COLUMNS.image_id, _COLUMNS.store, _COLUMNS.url)
    .where(_COLUMNS.id > bindparam("last"))
    .order_by(_COLUMNS.id)
    .limit(bindparam("count"))
)
_TOUCH = (
    update(images)
    .where(images.c.id == bindparam("image"))
    .values(version=images.c.version + 1)
)
_TAKEN = select(_COLUMNS.id).where(
    _COLUMNS.image_id == bindparam("image"),
    _COLUMNS.id != bindparam("key"),
    _COLUMNS.store == bindparam("new_store"),
    _COLUMNS.url == bindparam("new_url"),
)
_MOVE = (
    update(image_locations)
    .where(
        _COLUMNS.id == bindparam("key"),
        _COLUMNS.store == bindparam("old_store"),
        _COLUMNS.url == bindparam("old_url"),
    )
    .values(store=bindparam("new_store"), url=bindparam("new_url"))
)
