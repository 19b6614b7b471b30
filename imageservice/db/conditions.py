"""Conditions of a list: as SQL, and as the values that the statement binds."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam

from imageservice.db.tables import HEAD, SORTABLE, images
from imageservice.db.text import is_storable
from imageservice.domain.query import Condition, Query

INT64 = 2**63


class ConditionShape(NamedTuple):
    column: str
    operator: str
    is_null: bool


def shape(condition: Condition) -> ConditionShape:
    return ConditionShape(condition.column, condition.operator, condition.value is None)


def predicate(number: int, condition: ConditionShape) -> ColumnElement[bool]:
    """The condition as SQL; its value is bound as ``c0``, ``c1``…"""
    stored = images.c[condition.column]
    if condition.is_null:
        return stored.is_(None)
    # What is indexed is the column's twin without NULLs.
    column = SORTABLE.get(condition.column, stored)
    name = f"c{number}"
    value = bindparam(name, type_=column.type)
    match condition.operator:
        case "eq":
            met = column == value
        case "neq":
            met = column != value
        case "gt":
            met = column > value
        case "gte":
            met = column >= value
        case "lt":
            met = column < value
        case "lte":
            met = column <= value
        case "in":
            met = column.in_(bindparam(name, type_=column.type, expanding=True))
        case _:
            raise ValueError(condition.operator)
    return met if column is stored else and_(met, stored.is_not(None))


def property_shapes(query: Query) -> tuple[bool, ...]:
    """For each property: is the index's head of its value all there is to compare?"""
    return tuple(len(value) < HEAD for _, value in query.properties)


def is_hopeless(query: Query) -> bool:
    """Tell whether a value is one that no row can hold, and some driver chokes on.

    A number beyond 64 bits is equal to nothing, and no database stores a NUL for us.
    """
    texts = [text for pair in query.properties for text in pair] + list(query.tags)
    if any(not _is_storable(text) for text in texts):
        return True
    return any(
        condition.operator in ("eq", "in")
        and condition.value is not None
        and not _storable(condition)
        for condition in query.conditions
    )


def values(query: Query) -> dict[str, Any]:
    """What the statement for ``query`` binds; the marker's values are not among it."""
    assert query.viewer is not None  # nobody sees nothing: the caller has answered
    bound: dict[str, Any] = {
        "limit": query.limit,
        "os_hidden": query.os_hidden,
        "project": query.viewer.project_id,
        "member_status": query.member_status,
    }
    for number, (name, value) in enumerate(query.properties):
        bound[f"p{number}_name"] = name
        bound[f"p{number}_head"] = value[:HEAD]
        if len(value) >= HEAD:
            bound[f"p{number}_value"] = value
    for number, tag in enumerate(query.tags):
        bound[f"t{number}"] = tag
    for number, condition in enumerate(query.conditions):
        if condition.value is None:
            continue
        storable = _storable(condition)
        bound[f"c{number}"] = storable if condition.operator == "in" else storable[0]
    return bound


def _storable(condition: Condition) -> list[Any]:
    """The values of a condition that a row may hold; for an order, the nearest."""
    value = condition.value
    if condition.operator in ("eq", "in"):
        wanted = value if isinstance(value, tuple) else (value,)
        return [item for item in wanted if _is_storable(item)]
    if isinstance(value, int):
        return [max(-INT64, min(INT64 - 1, value))]
    return [value]


def _is_storable(value: object) -> bool:
    if isinstance(value, str):
        return is_storable(value)
    if isinstance(value, int):
        return -INT64 <= value < INT64
    return True
