"""The statement of a list: parts by visibility, each in page order, merged.

A statement is built once per *shape*, which is what of a query changes the statement
and not only its values. Whatever the number of images in the database, each part
walks an index in the order of the page and stops after ``limit`` rows.
"""

import functools
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    bindparam,
    or_,
    select,
    tuple_,
    union_all,
)

from imageservice.db import columns, conditions, visibility
from imageservice.db.conditions import ConditionShape
from imageservice.db.tables import (
    SORTABLE,
    image_members,
    image_properties,
    image_tags,
    images,
)
from imageservice.domain.query import Sort

Sorts = tuple[Sort, ...]


class Shape(NamedTuple):
    dialect: str
    eyes: visibility.Eyes
    sorts: Sorts
    visibility: str | None
    any_status: bool
    has_marker: bool
    conditions: tuple[ConditionShape, ...]
    properties: int
    tags: int


@functools.lru_cache(maxsize=512)
def statement(shape: Shape) -> Select[Any]:
    """The images of one page; see ``values`` in conditions.py for what it binds."""
    parts = visibility.branches(
        shape.eyes, shape.visibility, any_status=shape.any_status
    )
    page = _merged([_part(shape, part).subquery() for part in parts], shape.sorts)
    return (
        select(*columns.whole(shape.dialect, shape.eyes))
        # The page is small: MariaDB is told to begin with it.
        .prefix_with("STRAIGHT_JOIN", dialect="mysql")
        .select_from(page.join(images, images.c.id == page.c.id))
        .order_by(*_order(shape.sorts, images_columns(shape.sorts)))
    )


@functools.lru_cache(maxsize=64)
def marker(eyes: visibility.Eyes, sorts: Sorts) -> Select[Any]:
    """The sort values of the image ``:marker``, if the viewer may see it."""
    return select(*images_columns(sorts)).where(
        images.c.id == bindparam("marker"), visibility.by_id(eyes)
    )


def images_columns(sorts: Sorts) -> list[ColumnElement[Any]]:
    return [SORTABLE[sort.key] for sort in sorts]


def _merged(parts: list[Subquery], sorts: Sorts) -> Subquery:
    if len(parts) == 1:
        return parts[0]
    merged = union_all(*(select(*part.c) for part in parts)).subquery("merged")
    order = _order(sorts, [merged.c[f"k{i}"] for i in range(len(sorts))])
    page = select(merged.c.id).order_by(*order).limit(bindparam("limit"))
    return page.subquery("page")


def _part(shape: Shape, part: visibility.Branch) -> Select[Any]:
    keys = images_columns(shape.sorts)
    source: Any = images  # a table, then a join of tables
    where = [
        images.c.os_hidden == bindparam("os_hidden"),
        visibility.is_alive(),
        part.predicate,
    ]
    if part.joins_members:
        source = source.join(image_members, image_members.c.image_id == images.c.id)
    for number in range(shape.properties):
        rows = image_properties.alias(f"p{number}")
        source = source.join(rows, rows.c.image_id == images.c.id)
        where += [
            rows.c.name == bindparam(f"p{number}_name"),
            rows.c.head == bindparam(f"p{number}_head"),
            rows.c.value == bindparam(f"p{number}_value"),
        ]
    for number in range(shape.tags):
        tags = image_tags.alias(f"t{number}")
        source = source.join(tags, tags.c.image_id == images.c.id)
        where.append(tags.c.value == bindparam(f"t{number}"))
    where += [conditions.predicate(i, c) for i, c in enumerate(shape.conditions)]
    if shape.has_marker:
        where.append(_after(shape.dialect, shape.sorts, keys))
    labels = [key.label(f"k{i}") for i, key in enumerate(keys)]
    return (
        select(images.c.id.label("id"), *labels)
        .select_from(source)
        .where(*where)
        .order_by(*_order(shape.sorts, keys))
        .limit(bindparam("limit"))
    )


def _order(sorts: Sorts, keys: list[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    return [
        key.desc() if sort.descending else key.asc()
        for sort, key in zip(sorts, keys, strict=True)
    ]


def _after(
    dialect: str, sorts: Sorts, keys: list[ColumnElement[Any]]
) -> ColumnElement[bool]:
    """The rows behind the marker, whose sort values are bound as ``m0``, ``m1``…"""
    marks = [bindparam(f"m{number}", type_=key.type) for number, key in enumerate(keys)]
    directions = {sort.descending for sort in sorts}
    if dialect != "mysql" and len(directions) == 1:
        here, there = tuple_(*keys), tuple_(*marks)
        return here < there if directions == {True} else here > there
    # The range optimizers of MariaDB and MySQL do not understand row values.
    first, *_ = keys
    behind: ColumnElement[bool] | None = None
    for sort, key, mark in reversed(list(zip(sorts, keys, marks, strict=True))):
        further = key < mark if sort.descending else key > mark
        behind = further if behind is None else or_(further, and_(key == mark, behind))
    assert behind is not None  # a query is sorted by id at least
    bound = first <= marks[0] if sorts[0].descending else first >= marks[0]
    return and_(bound, behind)
