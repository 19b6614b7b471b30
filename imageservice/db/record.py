"""The record of an image as rows: the row itself, its properties and its tags."""

import datetime
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Insert,
    Update,
    bindparam,
    delete,
    insert,
    literal,
    select,
    update,
)

from imageservice import errors
from imageservice.db import columns, transitions, visibility
from imageservice.db.tables import (
    image_properties,
    image_tags,
    images,
)
from imageservice.db.text import require_storable
from imageservice.domain.image import Image

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


# Any: what the columns hold.
def amend(
    connection: Connection,
    before: Image,
    after: Image,
    now: datetime.datetime,
    **also: Any,
) -> None:
    """Write what differs between two images, and the columns ``also``.

    The owner's counters are the caller's business. Raises ImageChanged, ImageNotFound.
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
    require_fitting(after, new_tags, written)
    changed = connection.execute(
        touch(now).values(**values, **also).where(images.c.version == before.version),
        {"image_id": image_id},
    )
    if changed.rowcount == 0:
        transitions.status(connection, image_id)  # raises ImageNotFound
        raise errors.ImageChanged(image_id=image_id)
    _remove(connection, image_properties.c.name, image_id, removed | written.keys())
    write_properties(connection, before, written)
    _remove(connection, image_tags.c.value, image_id, old_tags - new_tags)
    write_tags(connection, before, new_tags - old_tags)


def touch(now: datetime.datetime) -> Update:
    """An UPDATE of the image ``:image_id`` that others notice."""
    return (
        update(images)
        .where(images.c.id == bindparam("image_id"), visibility.is_alive())
        .values(version=images.c.version + 1, updated_at=now)
    )


def touched(connection: Connection, image_id: str, now: datetime.datetime) -> None:
    """Lock and touch an image. Raises ImageNotFound."""
    if connection.execute(touch(now), {"image_id": image_id}).rowcount == 0:
        raise errors.ImageNotFound(image_id=image_id)


def write_properties(
    connection: Connection, image: Image, properties: Mapping[str, str | None]
) -> None:
    mine = {"image_id": image.id, "created_at": image.created_at}
    rows = [
        {"name": name, "value": value, **mine} for name, value in properties.items()
    ]
    if rows:
        connection.execute(insert(image_properties), rows)


def write_tags(connection: Connection, image: Image, tags: Collection[str]) -> None:
    mine = {"image_id": image.id, "created_at": image.created_at}
    rows = [{"value": tag, **mine} for tag in tags]
    if rows:
        connection.execute(insert(image_tags), rows)


def add_tag(image_id: str, tag: str) -> Insert:
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


def require_fitting(
    image: Image, tags: Collection[str], properties: Mapping[str, str | None]
) -> None:
    """Raise BadRequest for what no row can hold."""
    if len(image.owner or "") > OWNER_LENGTH:
        # Whoever has checked a caller's token may have let any project's id pass.
        reason = f"The id of a project has at most {OWNER_LENGTH} characters."
        raise errors.BadRequest(reason=reason)
    require_storable(
        image.name, image.owner, *tags, *properties.keys(), *properties.values()
    )
