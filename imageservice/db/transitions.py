"""Changes of status that belong to an image's bytes, each within one transaction.

Every function locks the image's row first, its lease second and the counters of
projects last, so none of them waits for another in a circle. A lease counts only with
its token: who has lost it changes nothing any more.
"""

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import orjson
from sqlalchemy import Connection, delete, exc, insert, select, update

from imageservice import errors
from imageservice.db import usage
from imageservice.db.tables import deleted_images, image_locations, images, leases
from imageservice.db.usage import Used
from imageservice.domain.allowance import UNLIMITED, Allowance
from imageservice.domain.image import HIDDEN_STATUSES, Image, require_transition
from imageservice.domain.lease import DELETE, UPLOAD

#: What is known of an image's bytes, and of no image without them (✗17).
NO_BYTES = {
    "size": None,
    "virtual_size": None,
    "checksum": None,
    "os_hash_algo": None,
    "os_hash_value": None,
}


class Stored(Protocol):
    """What an upload found out about the bytes it stored."""

    @property
    def url(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, object]: ...
    @property
    def size(self) -> int: ...
    @property
    def virtual_size(self) -> int | None: ...
    @property
    def checksum(self) -> str: ...
    @property
    def os_hash_algo(self) -> str: ...
    @property
    def os_hash_value(self) -> str: ...


class Room(NamedTuple):
    """Who is charged for an upload, with how many bytes of what he may have."""

    project_id: str | None
    reserved: int
    allowance: Allowance


NO_CHARGE = Room(None, 0, UNLIMITED)


class Locked(NamedTuple):
    """What is known of an image whose row is locked."""

    status: str
    owner: str | None
    size: int | None


class Ended(NamedTuple):
    """A lease that is no more; ``owner`` is its image's, who need not be who paid."""

    payer: str | None
    reserved: int
    owner: str | None

    @property
    def given_back(self) -> tuple[str | None, Used]:
        return self.payer, Used(uploading=-1, reserved=-self.reserved)


def status(connection: Connection, image_id: str) -> str:
    """Return the status of an image that is not on its way out. Raises ImageNotFound."""
    statement = select(images.c.status).where(images.c.id == image_id)
    found = connection.scalar(statement)
    if found is None or found in HIDDEN_STATUSES:
        raise errors.ImageNotFound(image_id=image_id)
    return str(found)


def claim(
    connection: Connection,
    image_id: str,
    frm: str,
    to: str,
    token: str,
    worker: str,
    store: str,
    now: datetime.datetime,
    known: Mapping[str, object],
    room: Room,
) -> None:
    if not move(connection, image_id, frm, now, known, status=to):
        found = status(connection, image_id)
        if found == frm:
            raise errors.ImageChanged(image_id=image_id)
        raise errors.ImageBusy(status=found, wanted=to)
    take_lease(connection, image_id, token, worker, store, UPLOAD, room)


def take_lease(
    connection: Connection,
    image_id: str,
    token: str,
    worker: str,
    store: str,
    purpose: str,
    room: Room,
) -> None:
    """Take the lease of a locked image, and room. Raises ImageLeased, ProjectLimit."""
    values = {
        "image_id": image_id,
        "token": token,
        "worker": worker,
        "store": store,
        "purpose": purpose,
        "beat": 0,
        "project_id": room.project_id,
        "reserved": room.reserved,
    }
    try:
        connection.execute(insert(leases), values)
    except exc.IntegrityError as error:
        raise errors.ImageLeased(image_id=image_id) from error
    taken = Used(uploading=1, reserved=room.reserved)
    usage.take(connection, room.project_id, taken, room.allowance)


def grow(
    connection: Connection,
    token: str,
    image_id: str,
    need: int,
    wish: int,
    allowance: Allowance,
) -> int:
    mine = (leases.c.image_id == image_id, leases.c.token == token)
    statement = select(leases.c.project_id).where(*mine).with_for_update()
    row = connection.execute(statement).first()
    if row is None:
        raise errors.LeaseLost(image_id=image_id)
    if row.project_id is None:
        return wish
    granted = usage.grow(connection, row.project_id, need, wish, allowance)
    # Not the last lock, but one that is held already.
    more = update(leases).where(*mine).values(reserved=leases.c.reserved + granted)
    connection.execute(more)
    return granted


def attach(
    connection: Connection,
    token: str,
    image_id: str,
    stored: Stored,
    store: str,
    now: datetime.datetime,
) -> None:
    known = {name: getattr(stored, name) for name in NO_BYTES}
    if not move(connection, image_id, "saving", now, {}, status="active", **known):
        found = locked(connection, image_id)
        if found is None or found.status in HIDDEN_STATUSES:
            raise errors.ImageGone(image_id=image_id)
        raise errors.LeaseLost(image_id=image_id)
    ended = end_lease(connection, image_id, token)
    if ended is None:
        raise errors.LeaseLost(image_id=image_id)
    location = {
        "image_id": image_id,
        "store": store,
        "url": stored.url,
        "metadata": orjson.dumps(stored.metadata).decode(),
    }
    connection.execute(insert(image_locations), location)
    taken = (ended.owner, Used(bytes=stored.size))
    usage.add(connection, ended.given_back, taken)


def release(
    connection: Connection,
    token: str,
    image_id: str,
    now: datetime.datetime,
    *,
    emptied: bool,
) -> bool:
    found = locked(connection, image_id)
    if found is None:
        return False
    is_doomed = found.status == "pending_delete"
    if is_doomed and not emptied and usage.copies(connection, image_id):
        return False
    ended = end_lease(connection, image_id, token)
    if ended is None:
        return False
    gone = Used()
    if is_doomed:
        gone = _stored(connection, image_id, found).minus()
        _remove(connection, image_id, now)
    elif found.status in ("saving", "importing"):
        gone = _stored(connection, image_id, found).minus()
        rows = delete(image_locations).where(image_locations.c.image_id == image_id)
        connection.execute(rows)
        move(connection, image_id, found.status, now, {}, status="queued", **NO_BYTES)
    usage.add(connection, ended.given_back, (found.owner, gone))
    return True


def lock_removable(connection: Connection, image_id: str) -> None:
    """Keep the image as it is until the end. Raises ImageNotFound, ImageProtected."""
    statement = (
        select(images.c.status, images.c.protected)
        .where(images.c.id == image_id)
        .with_for_update(key_share=True)
    )
    row = connection.execute(statement).first()
    if row is None or row.status in HIDDEN_STATUSES:
        raise errors.ImageNotFound(image_id=image_id)
    if row.protected:
        raise errors.ImageProtected(image_id=image_id)


def doom(
    connection: Connection,
    image: Image,
    token: str,
    worker: str,
    now: datetime.datetime,
) -> bool:
    """Begin the deletion of a locked image; True if the lease on it is ours now."""
    lease = select(leases.c.token).where(leases.c.image_id == image.id)
    is_leased = connection.execute(lease).first() is not None
    if not is_leased and not image.locations:
        _remove(connection, image.id, now)
        usage.add(connection, (image.owner, Used(images=-1)))
        return False
    move(
        connection,
        image.id,
        image.status,
        now,
        {},
        status="pending_delete",
        former_status=image.status,
    )
    if not is_leased:
        take_lease(connection, image.id, token, worker, "", DELETE, NO_CHARGE)
    # The bytes stay charged until they are gone.
    usage.add(connection, (image.owner, Used(images=-1)))
    return not is_leased


def spare(
    connection: Connection, token: str, image_id: str, now: datetime.datetime
) -> bool:
    found = locked(connection, image_id)
    ended = end_lease(connection, image_id, token)
    if ended is None or found is None:
        return False
    back = {"status": images.c.former_status, "former_status": None}
    is_back = move(connection, image_id, "pending_delete", now, {}, **back)
    again = Used(images=1 if is_back else 0)
    usage.add(connection, ended.given_back, (found.owner, again))
    return True


def bury(
    connection: Connection, token: str, image_id: str, now: datetime.datetime
) -> bool:
    found = locked(connection, image_id)
    ended = end_lease(connection, image_id, token)
    if ended is None or found is None:
        return False
    gone = _stored(connection, image_id, found).minus()
    _remove(connection, image_id, now)
    usage.add(connection, ended.given_back, (found.owner, gone))
    return True


# Any: what the columns hold.
def move(
    connection: Connection,
    image_id: str,
    frm: str,
    now: datetime.datetime,
    known: Mapping[str, object],
    **values: Any,
) -> bool:
    """Change the status if it still is ``frm``, and the columns ``known`` what they were."""
    if isinstance(values["status"], str):
        require_transition(frm, values["status"])
    changed = connection.execute(
        update(images)
        .where(images.c.id == image_id, images.c.status == frm)
        .where(*(images.c[name] == value for name, value in known.items()))
        .values(version=images.c.version + 1, updated_at=now, **values)
    )
    return changed.rowcount == 1


def locked(connection: Connection, image_id: str) -> Locked | None:
    """An image as nobody changes it until this transaction ends."""
    statement = select(images.c.status, images.c.owner, images.c.size)
    mine = statement.where(images.c.id == image_id).with_for_update(key_share=True)
    found = connection.execute(mine).first()
    return None if found is None else Locked._make(found)


def _stored(connection: Connection, image_id: str, image: Locked) -> Used:
    """What the bytes of a locked image are charged with."""
    return Used(bytes=usage.copies(connection, image_id) * (image.size or 0))


def end_lease(connection: Connection, image_id: str, token: str) -> Ended | None:
    """Remove a lease on a locked image; None if it was not ours."""
    mine = (leases.c.image_id == image_id, leases.c.token == token)
    statement = (
        select(leases.c.project_id, leases.c.reserved, images.c.owner)
        .join_from(leases, images, images.c.id == leases.c.image_id)
        .where(*mine)
        .with_for_update(key_share=True)
    )
    row = connection.execute(statement).first()
    if row is None:
        return None
    connection.execute(delete(leases).where(*mine))
    return Ended._make(row)


def _remove(connection: Connection, image_id: str, now: datetime.datetime) -> None:
    connection.execute(delete(images).where(images.c.id == image_id))
    connection.execute(insert(deleted_images), {"id": image_id, "deleted_at": now})
