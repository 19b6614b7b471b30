"""Which bytes there should be: the rows of locations, store by store, for audits."""

import datetime
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    bindparam,
    delete,
    exc,
    exists,
    func,
    insert,
    select,
)

from imageservice.db.copies import ACTIVE, FINISHED
from imageservice.db.engine import Database
from imageservice.db.tables import deleted_images, image_locations, images, leases


class Kept(NamedTuple):
    """A copy as its row has it, with what is known of the image's bytes."""

    id: int  # grows with each copy that is made
    image_id: str
    url: str
    size: int | None  # bytes
    checksum: str | None  # MD5, hex
    os_hash_algo: str | None
    os_hash_value: str | None  # hex
    is_settled: bool  # finished, and not being removed
    is_leased: bool  # somebody is writing or removing bytes of the image now


class State(NamedTuple):
    """What is known of an image id."""

    status: str | None  # None: there is no such image
    is_leased: bool

    @property
    def is_settled(self) -> bool:
        """Whether nobody is writing or removing bytes of it, and none are to come."""
        return not self.is_leased and self.status in (None, *FINISHED)


class Chosen(NamedTuple):
    """Images that something is to be done with; ``ids`` are read as they are needed."""

    ids: Iterable[str]
    images: int  # how many
    size: int | None  # bytes, all together; None: nobody has asked


class Inventory:
    """``page`` is how many rows are read at a time."""

    def __init__(self, database: Database, page: int = 1000) -> None:
        self._database = database
        self._page = page

    def copies(self, store: str) -> Iterator[Kept]:
        """All copies in a store, hidden ones too, in the order in which they were made."""
        return map(_kept, self._pages(_COPIES, 0, store=store))

    def _pages(self, statement: Select[Any], last: Any, **values: str) -> Iterator[Any]:
        """The rows of a statement that goes on behind the id ``last``."""
        while True:
            place = {"last": last, "page": self._page}
            rows = self._database.read(statement, values | place)
            yield from rows
            if len(rows) < self._page:
                return
            last = rows[-1].id

    def again(self, copy: Kept) -> Kept | None:
        """The copy as it is now; None if there is no such copy any more."""
        rows = self._database.read(_COPY, {"copy": copy.id})
        return _kept(rows[0]) if rows else None

    def of(self, image_id: str) -> list[tuple[str, Kept]]:
        """The copies of an image, each with its store's id."""
        rows = self._database.read(_OF, {"image": image_id})
        return [(row.store, _kept(row)) for row in rows]

    def naming(self, key: str) -> list[tuple[str, Kept]]:
        """All copies with ``key`` in their location, hidden ones too, each with its store's id.

        ``key`` holds no sign that has a meaning for LIKE. Reads every row.
        """
        rows = self._database.read(_NAMING, {"key": key})
        return [(row.store, _kept(row)) for row in rows]

    def missing(self, store: str, frm: str | None) -> Chosen:
        """Finished images without a copy in ``store``.

        Only those with one in ``frm``, if that is not None.
        """
        if frm is None:
            return self._chosen(_MISSING, store=store)
        return self._chosen(_MISSING_OF, store=store, frm=frm)

    def images_in(self, store: str) -> Chosen:
        """Finished images with a copy in a store."""
        return self._chosen(_IMAGES_IN, frm=store)

    def _chosen(self, which: "_Which", **values: str) -> Chosen:
        ids = (row.id for row in self._pages(which.ids, "", **values))
        (extent,) = self._database.read(which.extent, values)
        return Chosen(ids, extent.images, int(extent.size))

    def stores(self) -> set[str]:
        """The ids of all stores in which there are copies."""
        return {row.store for row in self._database.read(_STORES)}

    def state(self, image_id: str) -> State:
        rows = self._database.read(_STATE, {"id": image_id})
        return State(rows[0].status, bool(rows[0].is_leased)) if rows else NO_IMAGE

    def burn(self, image_id: str, now: datetime.datetime) -> bool:
        """See that no image ever gets this id; False if there is such an image.

        Afterwards bytes under this key can be removed: nobody can come to own them.
        """

        def transaction(connection: Connection) -> bool:
            try:
                # Whoever is creating such an image waits for this, or we for him.
                connection.execute(insert(images), _placeholder(image_id, now))
            except exc.IntegrityError:
                connection.rollback()
                return False
            connection.execute(delete(images).where(images.c.id == image_id))
            known = select(deleted_images.c.id).where(deleted_images.c.id == image_id)
            if connection.execute(known).first() is None:
                grave = {"id": image_id, "deleted_at": now}
                connection.execute(insert(deleted_images), grave)
            return True

        return self._database.write(transaction)


NO_IMAGE = State(None, False)


def _kept(row: Any) -> Kept:
    settled = row.status in FINISHED and row.copy_status == ACTIVE
    known = (row.size, row.checksum, row.os_hash_algo, row.os_hash_value)
    return Kept(row.id, row.image_id, row.url, *known, settled, bool(row.is_leased))


def _placeholder(image_id: str, now: datetime.datetime) -> dict[str, object]:
    return {
        "id": image_id,
        "status": "pending_delete",
        "visibility": "private",
        "protected": False,
        "os_hidden": True,
        "min_disk": 0,
        "min_ram": 0,
        "created_at": now,
        "updated_at": now,
        "version": 1,
    }


_LEASED = exists().where(leases.c.image_id == images.c.id).label("is_leased")
_ANY_COPY = (
    select(
        image_locations.c.id,
        image_locations.c.image_id,
        image_locations.c.store,
        image_locations.c.url,
        image_locations.c.status.label("copy_status"),
        images.c.status,
        images.c.size,
        images.c.checksum,
        images.c.os_hash_algo,
        images.c.os_hash_value,
        _LEASED,
    )
    .join(images, images.c.id == image_locations.c.image_id)
    .order_by(image_locations.c.id)
)
_COPIES = _ANY_COPY.where(
    image_locations.c.store == bindparam("store", type_=String),
    image_locations.c.id > bindparam("last"),
).limit(bindparam("page"))
_COPY = _ANY_COPY.where(image_locations.c.id == bindparam("copy"))
_OF = _ANY_COPY.where(image_locations.c.image_id == bindparam("image", type_=String))
_NAMING = _ANY_COPY.where(
    image_locations.c.url.contains(bindparam("key", type_=String))
)
_STORES: Select[Any] = select(image_locations.c.store).distinct()
_STATE = select(images.c.status, _LEASED).where(images.c.id == bindparam("id"))


def _has_copy(store: str) -> ColumnElement[bool]:
    return exists().where(
        image_locations.c.image_id == images.c.id,
        image_locations.c.status == ACTIVE,
        image_locations.c.store == bindparam(store, type_=String),
    )


class _Which(NamedTuple):
    """What asks for images, a page of ids at a time, and for their extent."""

    ids: Select[Any]
    extent: Select[Any]


def _finished(*conditions: ColumnElement[bool]) -> _Which:
    chosen = (images.c.status.in_(FINISHED), *conditions)
    ids = (
        select(images.c.id)
        .where(*chosen, images.c.id > bindparam("last", type_=String))
        .order_by(images.c.id)
        .limit(bindparam("page"))
    )
    number = func.count(images.c.id).label("images")
    size = func.coalesce(func.sum(images.c.size), 0).label("size")
    return _Which(ids, select(number, size).where(*chosen))


_IMAGES_IN = _finished(_has_copy("frm"))
_MISSING = _finished(~_has_copy("store"))
_MISSING_OF = _finished(_has_copy("frm"), ~_has_copy("store"))
