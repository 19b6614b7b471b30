"""From a query string to what a list asks for, and the links of its pages.

Source: contract images.md §8.1.
"""

import urllib.parse
from collections.abc import Sequence
from typing import NamedTuple

from imageservice import errors
from imageservice.api import filters
from imageservice.api.settings import Settings
from imageservice.domain import member
from imageservice.domain.image import VISIBILITIES
from imageservice.domain.query import SORT_KEYS, Condition, Query, Sort

Pairs = Sequence[tuple[str, str]]


class Listing(NamedTuple):
    """A query and the pairs it came from; the pages' links keep every one of them (✗19)."""

    query: Query
    pairs: Pairs

    def first(self) -> str:
        return _href([pair for pair in self.pairs if pair[0] != "marker"])

    def next(self, last_id: str) -> str:
        rest = [pair for pair in self.pairs if pair[0] != "marker"]
        return _href([*rest, ("marker", last_id)])


def _href(pairs: Pairs) -> str:
    query = urllib.parse.urlencode(pairs)
    return f"/v2/images?{query}" if query else "/v2/images"


def parse(pairs: Pairs, settings: Settings) -> Listing:
    """Read the pairs of a query string.

    Raises BadRequest with the parameter's name and what it may be.
    """
    # A repeated parameter counts once, with its last value, but for the ones below.
    last = dict(pairs)
    conditions: list[Condition] = []
    properties: list[tuple[str, str]] = []
    for name, value in last.items():
        if name in filters.BY_NAME:
            values = [v for n, v in pairs if n == name]
            conditions += filters.BY_NAME[name](name, values)
        elif name not in NOT_FILTERS:
            properties.append((name, value))
    return Listing(
        Query(
            limit=_limit(last.get("limit"), settings),
            sort=_sort(pairs),
            marker=_marker(last.get("marker")),
            conditions=tuple(conditions),
            properties=tuple(properties),
            tags=tuple(v.strip() for n, v in pairs if n == "tag"),
            visibility=_one_of("visibility", last, (*VISIBILITIES, "all")),
            member_status=_one_of("member_status", last, (*member.STATUSES, "all"))
            or "accepted",
            os_hidden=_hidden(last.get("os_hidden", "false")),
        ),
        _without_changes_since(pairs),
    )


#: Parameters with a meaning of their own. ``deleted`` is accepted and ignored.
NOT_FILTERS = frozenset(
    {
        "limit", "marker", "sort", "sort_key", "sort_dir", "tag", "visibility",
        "member_status", "os_hidden", "deleted", "changes-since",
    }
)  # fmt: skip


def _without_changes_since(pairs: Pairs) -> Pairs:
    if any(name == "changes-since" for name, _ in pairs):
        raise errors.BadRequest(
            reason="There is no 'changes-since' filter; use updated_at=gte:TIME."
        )
    return pairs


def _limit(text: str | None, settings: Settings) -> int:
    if text is None:
        return settings.limit_param_default
    limit = filters.integer("limit", text)
    if limit < 0:
        raise errors.BadRequest(reason="'limit' must not be negative.")
    return min(limit, settings.api_limit_max)


def _marker(text: str | None) -> str | None:
    if text == "":
        raise errors.MarkerUnknown(marker="''")
    return text


def _one_of(name: str, last: dict[str, str], allowed: Sequence[str]) -> str | None:
    value = last.get(name)
    if value is not None and value not in allowed:
        raise errors.BadRequest(reason=f"'{name}' must be one of {', '.join(allowed)}.")
    return value


def _hidden(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise errors.BadRequest(reason="'os_hidden' must be true or false.")
    return text.lower() == "true"


# --- order -------------------------------------------------------------------


def _sort(pairs: Pairs) -> tuple[Sort, ...]:
    """The order asked for, made unambiguous by created_at and id."""
    keys = [value for name, value in pairs if name == "sort_key"]
    directions = [value for name, value in pairs if name == "sort_dir"]
    compact = [value for name, value in pairs if name == "sort"]
    if compact:
        if keys or directions:
            raise errors.BadRequest(
                reason="'sort' cannot be combined with 'sort_key' and 'sort_dir'."
            )
        parts = [item.strip().partition(":") for item in compact[-1].split(",")]
        keys = [key.strip() for key, _, _ in parts]
        directions = [direction.strip() or "desc" for _, _, direction in parts]
    for direction in directions:
        if direction not in ("asc", "desc"):
            raise errors.BadRequest(reason="A sort direction must be asc or desc.")
    for key in keys:
        if key not in SORT_KEYS:
            raise errors.BadRequest(
                reason=f"A sort key must be one of {', '.join(SORT_KEYS)}."
            )
    return _completed(keys, directions)


def _completed(keys: list[str], directions: list[str]) -> tuple[Sort, ...]:
    keys = keys or ["created_at"]
    tail = directions[0] if len(directions) == 1 else "desc"
    if len(directions) <= 1:
        directions = [tail] * len(keys)
    if len(directions) != len(keys):
        raise errors.BadRequest(
            reason="There must be one sort direction, or one for each sort key."
        )
    chosen = dict.fromkeys(keys)
    wanted = [
        Sort(key, direction == "desc")
        for key, direction in zip(keys, directions, strict=True)
        if chosen.pop(key, True) is None  # a key that comes twice counts once
    ]
    for key in ("created_at", "id"):
        if key not in keys:
            wanted.append(Sort(key, tail == "desc"))
    # What follows a unique key decides nothing.
    ids = [place for place, sort in enumerate(wanted) if sort.key == "id"]
    return tuple(wanted[: ids[0] + 1])
