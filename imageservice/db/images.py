"""Images: rows to and from ``domain.image.Image``."""

import datetime
import functools
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    bindparam,
    delete,
    exc,
    insert,
    or_,
    select,
)

from imageservice import errors
from imageservice.db import (
    columns,
    conditions,
    listing,
    record,
    transitions,
    usage,
    visibility,
)
from imageservice.db.copies import DOOMED
from imageservice.db.engine import Database
from imageservice.db.tables import (
    deleted_images,
    image_locations,
    image_tags,
    images,
    leases,
)
from imageservice.db.text import is_storable, require_storable
from imageservice.db.usage import Used
from imageservice.domain.allowance import UNLIMITED, Allowance
from imageservice.domain.image import Image, Location, require_transition
from imageservice.domain.query import Page, Query, Viewer


class Remains(NamedTuple):
    """Bytes that nobody may have any more; ``is_doomed``: the image's own end is near."""

    is_doomed: bool
    locations: tuple[Location, ...]


class Images:
    """All rows of images. Times are given by the caller, UTC without zone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- reading ---

    def show(self, image_id: str, viewer: Viewer) -> Image | None:
        """Return the image, or None if there is none that ``viewer`` may see."""
        if not record.is_plain(image_id):
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
        if not record.is_plain(query.marker):
            raise errors.MarkerUnknown(marker=query.marker)
        found = self._database.read(
            listing.marker(eyes, sorts),
            {"marker": query.marker, "project": query.viewer.project_id},
            replica=True,
        )
        if not found:
            raise errors.MarkerUnknown(marker=query.marker)
        return {f"m{number}": value for number, value in enumerate(found[0])}

    def remains(self, image_id: str) -> Remains:
        """What bytes of an image are to be removed: all of a doomed one, else hidden copies."""
        found = self._database.read(_STATUS, {"id": image_id})
        is_doomed = bool(found) and found[0].status == DOOMED
        rows = self._database.read(_DOOMED, {"id": image_id})
        return Remains(is_doomed, tuple(columns.location(row) for row in rows))

    def any_in(self, store: str, known: Collection[str]) -> bool:
        """Tell whether any image has bytes in a store, or may have.

        What lies in a store that is not ``known`` may lie in this one: it may have had
        that id.
        """
        values = {"store": store, "known": list(known)}
        return any(self._database.read(s, values) for s in (_ANY_STORED, _ANY_COMING))

    # --- the record ---

    def insert(self, image: Image, allowance: Allowance = UNLIMITED) -> Image:
        """Record a new image, within what its owner may have.

        Raises ImageIdTaken also for the id of a deleted one, ProjectLimit.
        """
        image = record.arranged(image, version=1)
        record.require_fitting(image, image.tags, image.properties)

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
            record.write_properties(connection, image, image.properties)
            record.write_tags(connection, image, image.tags)
            usage.take(connection, image.owner, Used(images=1), allowance)

        self._database.write(transaction)
        return image

    def update(self, before: Image, after: Image, now: datetime.datetime) -> Image:
        """Write what differs between ``before``, as it was read, and ``after``.

        Never the status, nor what is known of the bytes. Raises ImageChanged when the
        image is no longer as it was read, ImageNotFound when it is gone.
        """

        def transaction(connection: Connection) -> None:
            record.amend(connection, before, after, now)
            if after.owner != before.owner:
                # Only admins can, so nobody's limits are asked. An upload under way
                # stays charged to whom it has begun for.
                copies = usage.copies(connection, before.id)
                all_of_it = Used(images=1, bytes=copies * (before.size or 0))
                usage.add(
                    connection,
                    (before.owner, all_of_it.minus()),
                    (after.owner, all_of_it),
                )

        self._database.write(transaction)
        return record.arranged(after, version=before.version + 1, updated_at=now)

    def set_status(
        self, image_id: str, frm: str, to: str, now: datetime.datetime
    ) -> bool:
        """Change the status; False if it was not ``frm`` (or the image is gone)."""
        require_transition(frm, to)
        statement = record.touch(now).values(status=to).where(images.c.status == frm)
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
            record.touched(connection, image_id, now)
            present = select(image_tags.c.value).where(
                image_tags.c.image_id == image_id
            )
            tags = set(connection.scalars(present))
            attempted = len(tags | {tag})
            if 0 <= maximum < attempted:
                raise errors.TagLimit(attempted=attempted, maximum=maximum)
            if tag not in tags:
                connection.execute(record.add_tag(image_id, tag))

        self._database.write(transaction)

    def remove_tag(self, image_id: str, tag: str, now: datetime.datetime) -> bool:
        """Remove a tag; False, and nothing is changed, if the image does not have it."""
        if not is_storable(tag):
            return False

        def transaction(connection: Connection) -> bool:
            record.touched(connection, image_id, now)
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

    def release(
        self,
        token: str,
        image_id: str,
        now: datetime.datetime,
        *,
        emptied: bool = False,
    ) -> bool:
        """End a lease after the bytes it stood for are gone.

        An upload's image is queued again, a doomed one is buried; that only if it has
        no copies, or their bytes have been removed (``emptied``). False, and nothing is
        changed, if not, or if the lease was not ours.
        """
        return self._database.write(
            lambda connection: transitions.release(
                connection, token, image_id, now, emptied=emptied
            )
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


_STATUS = select(images.c.status).where(images.c.id == bindparam("id"))
_DOOMED = (
    select(*(image_locations.c[name] for name in Location._fields))
    .join(images, images.c.id == image_locations.c.image_id)
    .where(image_locations.c.image_id == bindparam("id"))
    .where(or_(images.c.status == DOOMED, image_locations.c.status == DOOMED))
    .order_by(image_locations.c.id)
)


def _may_be_in_store(column: ColumnElement[str]) -> ColumnElement[bool]:
    known = bindparam("known", type_=String, expanding=True)
    return or_(column == bindparam("store", type_=String), column.not_in(known))


_ANY_STORED = (
    select(image_locations.c.image_id)
    .where(_may_be_in_store(image_locations.c.store))
    .limit(1)
)
_ANY_COMING = (
    select(leases.c.image_id)
    .where(leases.c.store != "", _may_be_in_store(leases.c.store))
    .limit(1)
)
_TOMBSTONE = select(deleted_images.c.id).where(deleted_images.c.id == bindparam("id"))


@functools.cache
def _show(dialect: str, eyes: visibility.Eyes) -> Select[Any]:
    return select(*columns.whole(dialect, eyes)).where(
        images.c.id == bindparam("id"), visibility.by_id(eyes)
    )
