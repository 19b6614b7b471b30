"""From the rows of an image to ``domain.image.Image``: one statement, child rows as JSON.

Child tables come as JSON text made by correlated scalar sub-selects: one round trip,
no row explosion, and a third of the CPU of one more query per child table.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Text, cast, func, select

from imageservice.db import visibility
from imageservice.db.tables import image_locations, image_properties, image_tags, images
from imageservice.domain.image import Image, Location

PLAIN = [
    images.c[name]
    for name in Image._fields
    if name not in ("membership", "properties", "tags", "locations")
]

_OBJECT = {
    "sqlite": func.json_group_object,
    "postgresql": func.json_object_agg,
    "mysql": func.json_objectagg,
}
_ARRAY = {
    "sqlite": func.json_group_array,
    "postgresql": func.json_agg,
    "mysql": func.json_arrayagg,
}
_ROW = {
    "sqlite": func.json_array,
    "postgresql": func.json_build_array,
    "mysql": func.json_array,
}


def whole(dialect: str, viewer: visibility.Eyes) -> list[ColumnElement[Any]]:
    """All columns of an image, in the order of ``Image``, for ``image`` to read."""
    return [
        *PLAIN,
        visibility.membership(viewer),
        _properties(dialect),
        _tags(dialect),
        _locations(dialect),
    ]


def _text(dialect: str, value: ColumnElement[Any]) -> ColumnElement[str]:
    # psycopg2 would parse what has the type json, slowly.
    return cast(value, Text) if dialect == "postgresql" else value


def _properties(dialect: str) -> ColumnElement[str]:
    mine = image_properties.c
    value = _OBJECT[dialect](mine.name, mine.value)
    wanted = select(_text(dialect, value)).where(mine.image_id == images.c.id)
    return wanted.correlate(images).scalar_subquery().label("properties")


def _tags(dialect: str) -> ColumnElement[str]:
    value = _ARRAY[dialect](image_tags.c.value)
    wanted = select(_text(dialect, value)).where(image_tags.c.image_id == images.c.id)
    return wanted.correlate(images).scalar_subquery().label("tags")


def _locations(dialect: str) -> ColumnElement[str]:
    mine = image_locations.c
    row = _ROW[dialect](mine.id, mine.store, mine.url, mine.metadata)
    wanted = select(_text(dialect, _ARRAY[dialect](row)))
    wanted = wanted.where(mine.image_id == images.c.id, mine.status == "active")
    return wanted.correlate(images).scalar_subquery().label("locations")


def image(row: Sequence[Any]) -> Image:
    """Read a row of the columns ``whole``."""
    properties, tags, locations = row[-3], row[-2], row[-1]
    return Image._make(
        (
            *row[:-3],
            # Not every database can sort inside an aggregate.
            dict(sorted(orjson.loads(properties).items())) if properties else {},
            tuple(sorted(orjson.loads(tags))) if tags else (),
            _places(locations) if locations else (),
        )
    )


def _places(text: str) -> tuple[Location, ...]:
    return tuple(location(row[1:]) for row in sorted(orjson.loads(text)))


def location(row: Sequence[Any]) -> Location:
    """Read a row of store, URL and metadata."""
    store, url, metadata = row
    return Location(store, url, orjson.loads(metadata))
