"""What each project uses: counters that the transaction changes which changes the rows.

A project's row is the last that a transaction locks, two projects' in order of their
ids: so nobody waits in a circle, it is held until the commit only, and whoever holds it
can count the rows again and finds what the counters must be. Images without an owner
are charged to nobody. Why counters: docs/adr/0011.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Select,
    Update,
    bindparam,
    func,
    insert,
    select,
    union,
    update,
)
from sqlalchemy.dialects import mysql, postgresql

from imageservice import errors
from imageservice.db.engine import Database
from imageservice.db.tables import image_locations, images, leases, project_usage
from imageservice.domain.allowance import Allowance
from imageservice.domain.image import HIDDEN_STATUSES

#: What a column can count; stands for "no limit", so that no sum overflows.
MOST = 2**63 - 1

_COUNTERS = project_usage.c
_MINE = _COUNTERS.project_id == bindparam("project")


class Used(NamedTuple):
    """What a project uses, or how much that changes; sizes in bytes."""

    images: int = 0  # that exist and are not being deleted
    uploading: int = 0  # uploads under way
    bytes: int = 0  # stored: size × copies, until they are really gone
    reserved: int = 0  # taken by uploads under way

    def minus(self) -> "Used":
        return Used(*(-number for number in self))


def add(connection: Connection, *charges: tuple[str | None, Used]) -> None:
    """Change counters whatever the limits are. The last statement of a transaction."""
    total: dict[str, Used] = {}
    for project_id, change in charges:
        if project_id is not None:
            so_far = total.get(project_id, Used())
            total[project_id] = Used(*map(sum, zip(so_far, change, strict=True)))
    for project_id in sorted(total):
        values = _values(project_id, total[project_id])
        if any(total[project_id]) and not _is_done(connection, _ADD, values):
            connection.execute(_missing(connection.dialect.name), values)
            connection.execute(_ADD, values)


def take(
    connection: Connection, project_id: str | None, change: Used, allowance: Allowance
) -> None:
    """Take room if there is any. The last statement of a transaction.

    Raises ProjectLimit, in the order of contract images.md §9.1. What is not taken is
    not looked at: a project over a limit may do whatever does not need more of it.
    """
    if project_id is None:
        return
    values = _values(project_id, change) | _room(change, allowance)
    if _is_done(connection, _TAKE, values):
        return
    used = _locked(connection, project_id)
    # Now it stands still: somebody may have made room between the two looks.
    if not _is_done(connection, _TAKE, values):
        raise _over(project_id, used, change, allowance)


def grow(
    connection: Connection, project_id: str, need: int, wish: int, allowance: Allowance
) -> int:
    """Reserve up to ``wish`` bytes more, or what is left; return how many.

    Raises ProjectLimit if not even ``need`` are left.
    """
    used = _locked(connection, project_id)
    room = _most(allowance.bytes) - _taken(used)
    if room < need:
        raise _over(project_id, used, Used(reserved=need), allowance)
    granted = min(max(wish, need), room)
    connection.execute(_ADD, _values(project_id, Used(reserved=granted)))
    return granted


class Usage:
    """The counters of all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, project_id: str) -> Used:
        found = self._database.read(_OF, {"project": project_id})
        return Used._make(found[0]) if found else Used()

    def all(self) -> dict[str, Used]:
        """Every project that has, or had, an image."""
        rows = self._database.read(_ALL)
        return {row.project_id: Used._make(row[1:]) for row in rows}

    def projects(self) -> Sequence[str]:
        """Every project that has counters or should have."""
        return [row[0] for row in self._database.read(select(_PROJECTS))]

    def recount(self, project_id: str) -> tuple[Used, Used]:
        """Set the counters of a project to what there is; return them before and after.

        Exact while the service runs: whoever changes what is counted waits for the row.
        """

        def transaction(connection: Connection) -> tuple[Used, Used]:
            before = _locked(connection, project_id)
            # Each statement sees what is committed when it begins, and nobody who has
            # something to charge to this project can commit now.
            after = count(connection, project_id)
            change = Used(*(new - old for new, old in zip(after, before, strict=True)))
            if any(change):
                connection.execute(_ADD, _values(project_id, change))
            return before, after

        return self._database.write(transaction)


def count(connection: Connection, project_id: str) -> Used:
    """Count what a project uses, from the rows of images, locations and leases."""
    mine = {"project": project_id}
    alive = connection.execute(_COUNT_IMAGES, mine).scalar_one()
    stored = connection.execute(_COUNT_BYTES, mine).scalar_one()
    uploading, reserved = connection.execute(_COUNT_LEASES, mine).one()
    return Used(alive, uploading, int(stored), int(reserved))


def copies(connection: Connection, image_id: str) -> int:
    """The number of places where an image's bytes lie."""
    return connection.execute(_COPIES, {"id": image_id}).scalar_one()


def _values(project_id: str, change: Used) -> dict[str, object]:
    by = {f"by_{name}": number for name, number in change._asdict().items()}
    return {"project": project_id, **by}


def _room(change: Used, allowance: Allowance) -> dict[str, int]:
    """The most that may be used already, of everything, so that ``change`` fits in."""
    limits = {
        "images": (change.images, allowance.images),
        "uploading": (change.uploading, allowance.uploading),
        "bytes": (change.bytes + change.reserved, allowance.bytes),
    }
    return {
        f"room_{name}": _most(limit) - more if more > 0 else MOST
        for name, (more, limit) in limits.items()
    }


def _is_done(
    connection: Connection, statement: Update, values: dict[str, object]
) -> bool:
    return connection.execute(statement, values).rowcount == 1


def _locked(connection: Connection, project_id: str) -> Used:
    """The counters of a project, which nobody changes until this transaction ends."""
    mine = {"project": project_id}
    found = connection.execute(_LOCKED, mine).first()
    if found is None:
        connection.execute(_missing(connection.dialect.name), mine)
        found = connection.execute(_LOCKED, mine).one()
    return Used._make(found)


def _taken(used: Used) -> int:
    return used.bytes + used.reserved


def _over(
    project_id: str, used: Used, change: Used, allowance: Allowance
) -> errors.ProjectLimit:
    """The error that says which limit leaves no room; the first in published order."""
    looked_at = (
        ("image_count_total", "images", change.images, used.images, allowance.images),
        ("image_count_uploading", "uploads", change.uploading, used.uploading,
         allowance.uploading),
        (allowance.named, "bytes", _taken(change), _taken(used), allowance.bytes),
    )  # fmt: skip
    name, unit, more, taken, limit = next(
        look for look in looked_at if look[2] > 0 and sum(look[2:4]) > _most(look[4])
    )
    return errors.ProjectLimit(
        limit=name, project_id=project_id, attempted=more, unit=unit, used=taken,
        maximum=_most(limit),
    )  # fmt: skip


def _most(limit: int | None) -> int:
    return MOST if limit is None else limit


@functools.cache
def _missing(dialect: str) -> Insert:
    """An INSERT of a project's row that changes nothing if it is there."""
    nothing: dict[str, Any] = {"project_id": bindparam("project")}
    nothing |= dict.fromkeys(Used._fields, 0)
    if dialect == "postgresql":
        row = postgresql.insert(project_usage).values(nothing)
        return row.on_conflict_do_nothing()
    if dialect == "sqlite":
        return insert(project_usage).prefix_with("OR IGNORE").values(nothing)
    # INSERT IGNORE would take a shared lock on what is there: two that both want to
    # write it then wait for each other.
    same = mysql.insert(project_usage).values(nothing)
    return same.on_duplicate_key_update(images=_COUNTERS.images)


def _room_for(name: str, used: ColumnElement[int]) -> ColumnElement[bool]:
    return used <= bindparam(f"room_{name}", type_=_COUNTERS.bytes.type)


_ADD = (
    update(project_usage)
    .where(_MINE)
    .values({name: _COUNTERS[name] + bindparam(f"by_{name}") for name in Used._fields})
)
_TAKE = _ADD.where(
    _room_for("images", _COUNTERS.images),
    _room_for("uploading", _COUNTERS.uploading),
    _room_for("bytes", _COUNTERS.bytes + _COUNTERS.reserved),
)
_NUMBERS = [_COUNTERS[name] for name in Used._fields]
_OF: Select[Any] = select(*_NUMBERS).where(_MINE)
_LOCKED = _OF.with_for_update()
_ALL = select(_COUNTERS.project_id, *_NUMBERS).order_by(_COUNTERS.project_id)

_OWNED = images.c.owner == bindparam("project")
_COUNT_IMAGES = select(func.count()).where(
    _OWNED, images.c.status.not_in(sorted(HIDDEN_STATUSES))
)
_COUNT_BYTES = (
    select(func.coalesce(func.sum(images.c.size), 0))
    .join_from(image_locations, images, images.c.id == image_locations.c.image_id)
    .where(_OWNED)
)
_COUNT_LEASES = select(
    func.count(), func.coalesce(func.sum(leases.c.reserved), 0)
).where(leases.c.project_id == bindparam("project"))
_COPIES = select(func.count()).where(image_locations.c.image_id == bindparam("id"))


def _named(column: ColumnElement[str]) -> Select[Any]:
    return select(column).where(column.is_not(None))


_PROJECTS = union(
    _named(images.c.owner), _named(leases.c.project_id), _named(_COUNTERS.project_id)
).subquery()
