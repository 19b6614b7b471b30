"""Changes of status that belong to an image's bytes, each within one transaction.

Every function locks the image's row first and its lease second, so none of them waits
for another in a circle. A lease counts only with its token: who has lost it changes
nothing any more.
"""

import datetime
from collections.abc import Mapping
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, delete, exc, insert, select, update

from imageservice import errors
from imageservice.db.tables import deleted_images, image_locations, images, leases
from imageservice.domain.image import HIDDEN_STATUSES, Image, require_transition

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
) -> None:
    if not _move(connection, image_id, frm, now, known, status=to):
        found = status(connection, image_id)
        if found == frm:
            raise errors.ImageChanged(image_id=image_id)
        raise errors.ImageBusy(status=found, wanted=to)
    try:
        connection.execute(insert(leases), _lease(image_id, token, worker, store))
    except exc.IntegrityError as error:
        raise errors.ImageBusy(status=frm, wanted=to) from error


def attach(
    connection: Connection,
    token: str,
    image_id: str,
    stored: Stored,
    store: str,
    now: datetime.datetime,
) -> None:
    known = {name: getattr(stored, name) for name in NO_BYTES}
    if not _move(connection, image_id, "saving", now, {}, status="active", **known):
        found = _locked(connection, image_id)
        if found is None or found in HIDDEN_STATUSES:
            raise errors.ImageGone(image_id=image_id)
        raise errors.LeaseLost(image_id=image_id)
    if not _end_lease(connection, image_id, token):
        raise errors.LeaseLost(image_id=image_id)
    location = {
        "image_id": image_id,
        "store": store,
        "url": stored.url,
        "metadata": orjson.dumps(stored.metadata).decode(),
    }
    connection.execute(insert(image_locations), location)


def release(
    connection: Connection, token: str, image_id: str, now: datetime.datetime
) -> bool:
    found = _locked(connection, image_id)
    if not _end_lease(connection, image_id, token):
        return False
    if found == "pending_delete":
        _remove(connection, image_id, now)
    elif found == "saving":
        rows = delete(image_locations).where(image_locations.c.image_id == image_id)
        connection.execute(rows)
        _move(connection, image_id, "saving", now, {}, status="queued", **NO_BYTES)
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
        return False
    _move(
        connection,
        image.id,
        image.status,
        now,
        {},
        status="pending_delete",
        former_status=image.status,
    )
    if not is_leased:
        connection.execute(insert(leases), _lease(image.id, token, worker, ""))
    return not is_leased


def spare(
    connection: Connection, token: str, image_id: str, now: datetime.datetime
) -> bool:
    if _locked(connection, image_id) is None:
        return False
    if not _end_lease(connection, image_id, token):
        return False
    back = {"status": images.c.former_status, "former_status": None}
    _move(connection, image_id, "pending_delete", now, {}, **back)
    return True


def bury(
    connection: Connection, token: str, image_id: str, now: datetime.datetime
) -> bool:
    _locked(connection, image_id)
    if not _end_lease(connection, image_id, token):
        return False
    _remove(connection, image_id, now)
    return True


# Any: what the columns hold.
def _move(
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


def _locked(connection: Connection, image_id: str) -> str | None:
    """The status of an image, which nobody changes until this transaction ends."""
    statement = select(images.c.status).where(images.c.id == image_id)
    found = connection.scalar(statement.with_for_update(key_share=True))
    return None if found is None else str(found)


def _lease(image_id: str, token: str, worker: str, store: str) -> dict[str, object]:
    return {
        "image_id": image_id,
        "token": token,
        "worker": worker,
        "store": store,
        "beat": 0,
    }


def _end_lease(connection: Connection, image_id: str, token: str) -> bool:
    row = delete(leases).where(leases.c.image_id == image_id, leases.c.token == token)
    return connection.execute(row).rowcount == 1


def _remove(connection: Connection, image_id: str, now: datetime.datetime) -> None:
    connection.execute(delete(images).where(images.c.id == image_id))
    connection.execute(insert(deleted_images), {"id": image_id, "deleted_at": now})
