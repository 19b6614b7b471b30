"""What a list asks for: conditions, order and page (contract images.md §8.1)."""

import dataclasses
from typing import Literal, NamedTuple

from imageservice.domain.image import Image

Operator = Literal["eq", "neq", "gt", "gte", "lt", "lte", "in"]

SORT_KEYS = (
    "name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at",
)  # fmt: skip


class Condition(NamedTuple):
    """``column operator value``; the value has the column's Python type, a tuple for ``in``.

    Times are compared as they are shown, in whole seconds (api/listing.py).
    """

    column: str
    operator: Operator
    value: object


#: The condition that no image meets.
NOWHERE = Condition("id", "in", ())


class Sort(NamedTuple):
    key: str
    descending: bool


class Viewer(NamedTuple):
    """For whom the list is made; decided by the auth ring, never by the client."""

    project_id: str | None
    is_admin: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """One page of images.

    ``visibility`` None is the default list, "all" adds everybody's community images.
    ``limit`` is the number of images wanted, already capped. ``sort`` always ends
    with ``id``. ``viewer`` None means nobody: nothing is found (closed by default).
    """

    limit: int
    sort: tuple[Sort, ...] = (Sort("created_at", True), Sort("id", True))
    marker: str | None = None
    conditions: tuple[Condition, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    visibility: str | None = None
    member_status: str = "accepted"  # or pending, rejected, all
    os_hidden: bool = False
    viewer: Viewer | None = None


class Page(NamedTuple):
    images: list[Image]
    is_full: bool  # as many rows as were asked for: there may be more
    last_id: str | None  # the marker of the next page
