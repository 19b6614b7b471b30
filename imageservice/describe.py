"""Joins the tables into documents that cannot drift: the matrix of operations and rings.

``imageservice-manage operations`` prints it, docs/operations.md is it.
"""

from collections.abc import Iterator, Mapping

from imageservice.layers import location, locations, notifier, properties, quota
from imageservice.layers.auth import NEEDS, Need
from imageservice.policy import rules

#: The rings by name; an operation that one of them defines passes it.
SHOWN: Mapping[str, type] = {"images": properties.Shown}
GUARDED: Mapping[str, type] = {"images": properties.Guarded}
QUOTA: Mapping[str, type] = {"images": quota.Images}
LOCATION: Mapping[str, tuple[type, ...]] = {
    "images": (location.Images, locations.Images),
    "locations": (locations.Queued, locations.Locations),
}

HEAD = """\
# Operations and rings

Every request is one operation, and passes the rings from left to right. An empty cell
means that the ring lets it through as it is. *Shown* and *guarded* are there only if
`property_protection_file` is set. This page is written by `imageservice-manage operations`.

"""

COLUMNS = (
    "operation", "auth", "shown", "notifier", "policy", "guarded", "quota", "location",
)  # fmt: skip

_NEEDS = {
    Need.CHANGE: "not read-only",
    Need.VIEWER: "narrows the query to the viewer",
    Need.OWN_ROW: "owner, or his own row",
    Need.OWN_ROWS: "owner, or only his own row",
}


def operations() -> str:
    """Return the matrix as Markdown."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS), *_rows()]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _rows() -> Iterator[tuple[str, ...]]:
    for key, need in NEEDS.items():
        resource, operation = key
        yield (
            f"{resource}.{operation}",
            ", ".join(_NEEDS[flag] for flag in need),
            _defined(SHOWN, resource, operation),
            _events(key),
            ", ".join(rules.RULES[key].names),
            _defined(GUARDED, resource, operation),
            _defined(QUOTA, resource, operation) or _in_database(key),
            _in_location(key),
        )


def _events(key: tuple[str, str]) -> str:
    row = notifier.EVENTS.get(key)
    return ", ".join(row.names) if row else ""


def _defined(rings: Mapping[str, type], resource: str, operation: str) -> str:
    ring = rings.get(resource)
    if ring is None or operation not in vars(ring):
        return ""
    return f"`def {operation}`"


def _in_location(key: tuple[str, str]) -> str:
    resource, operation = key
    rings = LOCATION.get(resource, ())
    return f"`def {operation}`" if any(operation in vars(r) for r in rings) else ""


def _in_database(key: tuple[str, str]) -> str:
    limit = quota.IN_DATABASE.get(key)
    return f"{limit}, in the database" if limit else ""
