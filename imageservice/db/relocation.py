"""Stored locations, as they are rewritten when stores or their forms have changed."""

from collections.abc import Iterable, Sequence
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


class Locations:
    def __init__(self, database: Database) -> None:
        self._database = database

    def after(self, last: int, count: int) -> Sequence[Row]:
        """The next ``count`` rows, in the order in which they were made."""
        values = {"last": last, "count": count}
        return [Row._make(found) for found in self._database.read(_AFTER, values)]

    def move(self, moves: Iterable[Move]) -> int:
        """Rewrite rows in one transaction; returns how many.

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

        def rewrite(connection: Connection) -> int:
            moved = 0
            for each in values:
                connection.execute(_TOUCH, each)  # first, as all who change an image do
                moved += connection.execute(_MOVE, each).rowcount
            return moved

        return self._database.write(rewrite) if values else 0


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
_MOVE = (
    update(image_locations)
    .where(
        _COLUMNS.id == bindparam("key"),
        _COLUMNS.store == bindparam("old_store"),
        _COLUMNS.url == bindparam("old_url"),
    )
    .values(store=bindparam("new_store"), url=bindparam("new_url"))
)
