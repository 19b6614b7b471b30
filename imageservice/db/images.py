"""Images: rows to and from ``domain.image.Image``."""

import datetime
import functools
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Insert,
    Select,
    String,
    Update,
    bindparam,
    delete,
    exc,
    insert,
    literal,
    select,
    update,
)

from imageservice import errors
from imageservice.db import columns, conditions, listing, transitions, usage, visibility
from imageservice.db.engine import Database
from imageservice.db.tables import (
    deleted_images,
    image_locations,
    image_properties,
    image_tags,
    images,
    leases,
)
from imageservice.db.text import is_storable, require_storable
from imageservice.db.usage import Used
from imageservice.domain.allowance import UNLIMITED, Allowance
from imageservice.domain.image import Image, Location, require_transition
from imageservice.domain.query import Page, Query, Viewer

#: Columns that update() never writes: they belong to the bytes and to the service.
_NOT_BY_UPDATE = frozenset(
    {
        "id", "status", "size", "virtual_size", "checksum", "os_hash_algo",
        "os_hash_value", "created_at", "updated_at", "version",
    }
)  # fmt: skip
_BY_UPDATE = [
    column.name for column in columns.PLAIN if column.name not in _NOT_BY_UPDATE
]

ID_LENGTH = 36
OWNER_LENGTH = 255


class Images:
    """All rows of images. Times are given by the caller, UTC without zone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- reading ---

    def show(self, image_id: str, viewer: Viewer) -> Image | None:
        """Return the image, or None if there is none that ``viewer`` may see."""
        if not is_plain(image_id):
            return None
        found = self._database.read(
            _show(self._database.dialect, visibility.eyes(viewer)),
            {"id": image_id, "project": viewer.project_id},
        )
        return columns.image(found[0]) if found else None

    def list(self, query: Query) -> Page:
        """Return one page. Raises MarkerUnknown.

        A value that no row can hold (an integer beyond 64 bits, a NUL in a text) finds
        nothing; as a bound it is the nearest value that a row can hold.
        """
        viewer = query.viewer
        if viewer is None:
            return Page([], False, None)
        eyes, sorts = visibility.eyes(viewer), listing.sorts(query)
        marks = self._marks(query, eyes, sorts) if query.marker is not None else {}
        if query.limit == 0 or conditions.is_hopeless(query):
            return Page([], False, None)
        if query.visibility in ("private", "shared") and not (
            viewer.is_admin or eyes.has_project
        ):
            return Page([], False, None)
        rows = self._database.read(
            listing.statement(listing.shape(query, sorts, self._database.dialect)),
            conditions.values(query) | marks,
            replica=True,
        )
        found = [columns.image(row) for row in rows]
        last_id = found[-1].id if found else None
        return Page(found, len(found) == query.limit, last_id)

    def _marks(
        self, query: Query, eyes: visibility.Eyes, sorts: listing.Sorts
    ) -> dict[str, Any]:
        assert query.marker is not None
        assert query.viewer is not None
        if not is_plain(query.marker):
            raise errors.MarkerUnknown(marker=query.marker)
        found = self._database.read(
            listing.marker(eyes, sorts),
            {"marker": query.marker, "project": query.viewer.project_id},
            replica=True,
        )
        if not found:
            raise errors.MarkerUnknown(marker=query.marker)
        return {f"m{number}": value for number, value in enumerate(found[0])}

    def locations(self, image_id: str) -> tuple[Location, ...]:
        """Where the bytes of an image lie, whatever its status: for cleaning up."""
        found = self._database.read(_LOCATIONS, {"id": image_id})
        return tuple(columns.location(row) for row in found)

    def any_in(self, store: str) -> bool:
        """Tell whether any image has bytes in a store, or may have."""
        values = {"store": store}
        return any(self._database.read(s, values) for s in (_ANY_STORED, _ANY_COMING))

    # --- the record ---

    def insert(self, image: Image, allowance: Allowance = UNLIMITED) -> Image:
        """Record a new image, within what its owner may have.

        Raises ImageIdTaken also for the id of a deleted one, ProjectLimit.
        """
        image = arranged(image, version=1)
        _require_storable(image, image.tags, image.properties)

        def transaction(connection: Connection) -> None:
            values = {
                column.name: getattr(image, column.name) for column in columns.PLAIN
            }
            try:
                connection.execute(insert(images), values)
            except exc.IntegrityError as error:
                raise errors.ImageIdTaken(image_id=image.id) from error
            # Not before: until then a deletion of the same id may be under way, whose
            # tombstone we would not see.
            if connection.execute(_TOMBSTONE, {"id": image.id}).first() is not None:
                raise errors.ImageIdTaken(image_id=image.id)
            _write_properties(connection, image, image.properties)
            _write_tags(connection, image, image.tags)
            usage.take(connection, image.owner, Used(images=1), allowance)

        self._database.write(transaction)
        return image

    def update(self, before: Image, after: Image, now: datetime.datetime) -> Image:
        """Write what differs between ``before``, as it was read, and ``after``.

        Never the status, nor what is known of the bytes. Raises ImageChanged when the
        image is no longer as it was read, ImageNotFound when it is gone.
        """
        image_id = before.id
        values = {
            name: getattr(after, name)
            for name in _BY_UPDATE
            if getattr(after, name) != getattr(before, name)
        }
        written = {
            name: value
            for name, value in after.properties.items()
            if name not in before.properties or before.properties[name] != value
        }
        removed = before.properties.keys() - after.properties.keys()
        old_tags, new_tags = set(before.tags), set(after.tags)
        _require_storable(after, new_tags, written)

        def transaction(connection: Connection) -> None:
            changed = connection.execute(
                _touch(now).values(values).where(images.c.version == before.version),
                {"image_id": image_id},
            )
            if changed.rowcount == 0:
                transitions.status(connection, image_id)  # raises ImageNotFound
                raise errors.ImageChanged(image_id=image_id)
            _remove(
                connection, image_properties.c.name, image_id, removed | written.keys()
            )
            _write_properties(connection, before, written)
            _remove(connection, image_tags.c.value, image_id, old_tags - new_tags)
            _write_tags(connection, before, new_tags - old_tags)
            if after.owner != before.owner:
                # Only admins can, so nobody's limits are asked. An upload under way
                # stays charged to whom it has begun for.
                copies = usage.copies(connection, image_id)
                all_of_it = Used(images=1, bytes=copies * (before.size or 0))
                usage.add(
                    connection,
                    (before.owner, all_of_it.minus()),
                    (after.owner, all_of_it),
                )

        self._database.write(transaction)
        return arranged(after, version=before.version + 1, updated_at=now)

    def set_status(
        self, image_id: str, frm: str, to: str, now: datetime.datetime
    ) -> bool:
        """Change the status; False if it was not ``frm`` (or the image is gone)."""
        require_transition(frm, to)
        statement = _touch(now).values(status=to).where(images.c.status == frm)
        return self._database.write(
            lambda connection: (
                connection.execute(statement, {"image_id": image_id}).rowcount == 1
            )
        )

    # --- tags ---

    def add_tag(
        self, image_id: str, tag: str, maximum: int, now: datetime.datetime
    ) -> None:
        """Add a tag, once. Raises TagLimit beyond ``maximum`` tags (negative: no limit).

        Raises ImageNotFound when the image is gone.
        """
        require_storable(tag)

        def transaction(connection: Connection) -> None:
            _touched(connection, image_id, now)
            present = select(image_tags.c.value).where(
                image_tags.c.image_id == image_id
            )
            tags = set(connection.scalars(present))
            attempted = len(tags | {tag})
            if 0 <= maximum < attempted:
                raise errors.TagLimit(attempted=attempted, maximum=maximum)
            if tag not in tags:
                connection.execute(_add_tag(image_id, tag))

        self._database.write(transaction)

    def remove_tag(self, image_id: str, tag: str, now: datetime.datetime) -> bool:
        """Remove a tag; False, and nothing is changed, if the image does not have it."""
        if not is_storable(tag):
            return False

        def transaction(connection: Connection) -> bool:
            _touched(connection, image_id, now)
            row = delete(image_tags).where(
                image_tags.c.image_id == image_id, image_tags.c.value == tag
            )
            if connection.execute(row).rowcount:
                return True
            connection.rollback()
            return False

        return self._database.write(transaction)

    # --- the bytes: see transitions.py ---

    def claim(
        self,
        image_id: str,
        frm: str,
        to: str,
        token: str,
        worker: str,
        store: str,
        now: datetime.datetime,
        known: Mapping[str, object] = MappingProxyType({}),
        room: transitions.Room = transitions.NO_CHARGE,
    ) -> None:
        """Take the image from status ``frm`` to ``to``, with a lease and room.

        Raises ImageBusy if its status is another one, ImageNotFound; ImageChanged if
        the columns ``known`` do not hold these values any more; ProjectLimit.
        """
        self._database.write(
            lambda connection: transitions.claim(
                connection, image_id, frm, to, token, worker, store, now, known, room
            )
        )

    def grow(
        self, token: str, image_id: str, need: int, wish: int, allowance: Allowance
    ) -> int:
        """Reserve up to ``wish`` bytes more for an upload; return how many.

        Raises ProjectLimit if not even ``need`` are left, LeaseLost.
        """
        return self._database.write(
            lambda connection: transitions.grow(
                connection, token, image_id, need, wish, allowance
            )
        )

    def attach(
        self,
        token: str,
        image_id: str,
        stored: transitions.Stored,
        store: str,
        now: datetime.datetime,
    ) -> Image:
        """Make the image active with these bytes, and end the lease.

        Raises ImageGone if the image is doomed or gone, LeaseLost if the lease is no
        longer ours.
        """
        statement = _show(self._database.dialect, visibility.Eyes(True, False))

        def transaction(connection: Connection) -> Image:
            transitions.attach(connection, token, image_id, stored, store, now)
            return columns.image(connection.execute(statement, {"id": image_id}).one())

        return self._database.write(transaction)

    def release(self, token: str, image_id: str, now: datetime.datetime) -> bool:
        """End a lease after the bytes are gone: queued again, or buried if doomed.

        False, and nothing is changed, if the lease was not ours.
        """
        return self._database.write(
            lambda connection: transitions.release(connection, token, image_id, now)
        )

    def doom(
        self, image_id: str, token: str, worker: str, now: datetime.datetime
    ) -> Image | None:
        """Begin a deletion. Raises ImageProtected, ImageNotFound.

        None: there is nothing more for the caller to do. Either the image had no bytes
        and its rows are gone, or somebody is writing them and will clean up. Otherwise
        the image as it was; it is hidden, and the lease ``token`` on it is ours.
        """
        statement = _show(self._database.dialect, visibility.Eyes(True, False))

        def transaction(connection: Connection) -> Image | None:
            transitions.lock_removable(connection, image_id)
            image = columns.image(connection.execute(statement, {"id": image_id}).one())
            is_ours = transitions.doom(connection, image, token, worker, now)
            return image if is_ours else None

        return self._database.write(transaction)

    def spare(self, token: str, image_id: str, now: datetime.datetime) -> bool:
        """Undo ``doom``: the image is what it was. False if the lease was not ours."""
        return self._database.write(
            lambda connection: transitions.spare(connection, token, image_id, now)
        )

    def bury(self, token: str, image_id: str, now: datetime.datetime) -> bool:
        """Remove the rows of a doomed image. False if the lease was not ours."""
        return self._database.write(
            lambda connection: transitions.bury(connection, token, image_id, now)
        )

    def forget_location(self, image_id: str, url: str) -> None:
        """Remove the row of a copy whose bytes have been deleted."""
        self._database.write(
            lambda connection: transitions.forget_location(connection, image_id, url)
        )


_LOCATIONS = (
    select(*(image_locations.c[name] for name in Location._fields))
    .where(image_locations.c.image_id == bindparam("id"))
    .order_by(image_locations.c.id)
)
_IN_STORE = bindparam("store", type_=String)
_ANY_STORED = (
    select(image_locations.c.image_id)
    .where(image_locations.c.store == _IN_STORE)
    .limit(1)
)
_ANY_COMING = select(leases.c.image_id).where(leases.c.store == _IN_STORE).limit(1)
_TOMBSTONE = select(deleted_images.c.id).where(deleted_images.c.id == bindparam("id"))


@functools.cache
def _show(dialect: str, eyes: visibility.Eyes) -> Select[Any]:
    return select(*columns.whole(dialect, eyes)).where(
        images.c.id == bindparam("id"), visibility.by_id(eyes)
    )


def is_plain(image_id: str) -> bool:
    """Tell whether it can be an id at all: short, and of printable ASCII."""
    return len(image_id) <= ID_LENGTH and image_id.isascii() and image_id.isprintable()


# Any: the fields of Image.
def arranged(image: Image, **changes: Any) -> Image:
    """Return the image as ``show`` would: properties by name, tags sorted, each once."""
    return image._replace(
        properties=dict(sorted(image.properties.items())),
        tags=tuple(sorted(set(image.tags))),
        **changes,
    )


def _touch(now: datetime.datetime) -> Update:
    """An UPDATE of the image ``:image_id`` that others notice."""
    return (
        update(images)
        .where(images.c.id == bindparam("image_id"), visibility.is_alive())
        .values(version=images.c.version + 1, updated_at=now)
    )


def _touched(connection: Connection, image_id: str, now: datetime.datetime) -> None:
    """Lock and touch an image. Raises ImageNotFound."""
    if connection.execute(_touch(now), {"image_id": image_id}).rowcount == 0:
        raise errors.ImageNotFound(image_id=image_id)


def _write_properties(
    connection: Connection, image: Image, properties: Mapping[str, str | None]
) -> None:
    mine = {"image_id": image.id, "created_at": image.created_at}
    rows = [
        {"name": name, "value": value, **mine} for name, value in properties.items()
    ]
    if rows:
        connection.execute(insert(image_properties), rows)


def _write_tags(connection: Connection, image: Image, tags: Collection[str]) -> None:
    mine = {"image_id": image.id, "created_at": image.created_at}
    rows = [{"value": tag, **mine} for tag in tags]
    if rows:
        connection.execute(insert(image_tags), rows)


def _add_tag(image_id: str, tag: str) -> Insert:
    row = select(
        images.c.id, literal(tag, image_tags.c.value.type), images.c.created_at
    ).where(images.c.id == image_id)
    return insert(image_tags).from_select(["image_id", "value", "created_at"], row)


def _remove(
    connection: Connection, column: Column[Any], image_id: str, values: Collection[str]
) -> None:
    """Remove those child rows of an image whose ``column`` is one of ``values``."""
    if values:
        table = column.table
        mine = table.c.image_id == image_id
        connection.execute(delete(table).where(mine, column.in_(sorted(values))))


def _require_storable(
    image: Image, tags: Collection[str], properties: Mapping[str, str | None]
) -> None:
    if len(image.owner or "") > OWNER_LENGTH:
        # Whoever has checked a caller's token may have let any project's id pass.
        reason = f"The id of a project has at most {OWNER_LENGTH} characters."
        raise errors.BadRequest(reason=reason)
    require_storable(
        image.name, image.owner, *tags, *properties.keys(), *properties.values()
    )
