"""The statement of a list: parts by visibility, each in page order, merged.

A statement is built once per *shape*, which is what of a query changes the statement
and not only its values. Whatever the number of images in the database, each part
walks an index in the order of the page and stops after ``limit`` rows.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Subquery,
    and_,
    bindparam,
    exists,
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
from imageservice.domain.query import Query, Sort

Sorts = tuple[Sort, ...]


class Shape(NamedTuple):
    dialect: str
    eyes: visibility.Eyes
    sorts: Sorts
    visibility: str | None
    any_status: bool
    has_marker: bool
    conditions: tuple[ConditionShape, ...]
    properties: tuple[bool, ...]  # see conditions.property_shapes
    tags: int


def sorts(query: Query) -> Sorts:
    """The order without what decides nothing: a key named before, or behind ``id``."""
    kept: dict[str, Sort] = {}
    for sort in query.sort:
        if "id" not in kept:
            kept.setdefault(sort.key, sort)
    if "id" not in kept:
        kept["id"] = Sort("id", query.sort[-1].descending if query.sort else True)
    return tuple(kept.values())


def shape(query: Query, order: Sorts, dialect: str) -> Shape:
    assert query.viewer is not None  # nobody sees nothing: the caller has answered
    return Shape(
        dialect=dialect,
        eyes=visibility.eyes(query.viewer),
        sorts=order,
        visibility=query.visibility,
        any_status=query.member_status == "all",
        has_marker=query.marker is not None,
        conditions=tuple(map(conditions.shape, query.conditions)),
        properties=conditions.property_shapes(query),
        tags=len(query.tags),
    )


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
    page = select(merged.c.id).order_by(*order).limit(bindparam("limit", type_=Integer))
    return page.subquery("page")


def _part(shape: Shape, part: visibility.Branch) -> Select[Any]:
    source: Any = images  # a table, then a join of tables
    if part.pins == "member":
        source = source.join(image_members, image_members.c.image_id == images.c.id)
    keys = images_columns(shape.sorts)
    where = [
        images.c.os_hidden == bindparam("os_hidden"),
        visibility.is_alive(),
        part.predicate,
        *(conditions.predicate(i, c) for i, c in enumerate(shape.conditions)),
    ]
    for number, (rows, wanted) in enumerate(_children(shape)):
        mine = rows.c.image_id == images.c.id
        if part.is_of_project:
            # One project's images are walked in page order and looked up here. As a
            # join some planners begin with all images that have the property.
            where.append(exists().where(mine, *wanted))
            continue
        source = source.join(rows, mine)
        where += wanted
        if number == 0 and shape.sorts[0].key == "created_at":
            # Walked in page order by its own index, which has created_at for this.
            twins = {"created_at": rows.c.created_at, "id": rows.c.image_id}
            keys = [twins.get(sort.key, SORTABLE[sort.key]) for sort in shape.sorts]
            if shape.dialect == "mysql":
                # Lets MariaDB begin with the images instead, and keep the order. Others
                # would take it for one more condition, and expect next to no rows.
                where.append(rows.c.created_at == images.c.created_at)
    if shape.has_marker:
        where.append(_after(shape.dialect, shape.sorts, keys))
    labels = [key.label(f"k{i}") for i, key in enumerate(keys)]
    statement = (
        select(images.c.id.label("id"), *labels)
        .select_from(source)
        .where(*where)
        .order_by(*_order(shape.sorts, keys))
        .limit(bindparam("limit", type_=Integer))
    )
    index = _index(shape, part)
    return (
        statement.with_hint(images, f"FORCE INDEX ({index})", "mysql")
        if index
        else statement
    )


def _children(shape: Shape) -> Iterator[tuple[FromClause, list[ColumnElement[bool]]]]:
    """The rows of properties and tags that an image must have, under names of their own."""
    for number, is_short in enumerate(shape.properties):
        rows = image_properties.alias(f"p{number}")
        wanted = [
            rows.c.name == bindparam(f"p{number}_name"),
            rows.c.head == bindparam(f"p{number}_head"),
        ]
        if not is_short:
            wanted.append(rows.c.value == bindparam(f"p{number}_value"))
        yield rows, wanted
    for number in range(shape.tags):
        tags = image_tags.alias(f"t{number}")
        yield tags, [tags.c.value == bindparam(f"t{number}")]


def _index(shape: Shape, part: visibility.Branch) -> str | None:
    """The indexes of images that MariaDB may choose from.

    Left alone it enters the right index where os_hidden begins and not at the marker
    (a "ref" is preferred to a "range" under LIMIT), or takes another one and sorts.
    """
    key = shape.sorts[0].key
    if shape.conditions or part.pins == "member" or key == "id":
        return None
    walked = f"images_by_{key}"
    if part.pins == "owner":
        walked = f"images_by_owner_{key}"
    elif part.pins == "visibility" and key == "created_at":
        walked = "images_by_visibility_created_at"
    is_plain = part.is_of_project or not (shape.properties or shape.tags)
    return walked if is_plain else f"{walked}, PRIMARY"


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
