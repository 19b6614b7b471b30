"""Reads matrix.txt: what is expected, as a human wrote it down."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parent / "matrix.txt"

VISIBILITIES = ("public", "community", "shared", "private")
RELATIONS = ("owner", "accepted", "pending", "rejected", "stranger")

#: The letters of the columns, in their order, and the roles that they stand for.
ROLES = {
    "-": "some-other-role",
    "r": "reader",
    "m": "member",
    "M": "manager",
    "s": "service",
    "u": "reader,member",
    "A": "admin",
}
COLUMNS = "".join(ROLES)


class Cell(NamedTuple):
    """One letter of the file: what happens to this caller with this image."""

    visibility: str
    relation: str
    role: str  # a key of ROLES
    expected: str  # +, o, x or .


def read() -> dict[str, list[Cell]]:
    """Return the cells of every grid, by the operation's name. Checks their form."""
    _legend, *grids = re.split(r"^\[", FILE.read_text("utf-8"), flags=re.MULTILINE)
    return {grid.partition("]")[0]: list(_cells(grid)) for grid in grids}


def _cells(grid: str) -> Iterator[Cell]:
    _title, head, *lines = grid.rstrip().splitlines()
    groups = head.split()
    assert groups in ([COLUMNS], [COLUMNS] * len(VISIBILITIES)), grid
    for line in lines:
        relation, *found = line.split()
        assert relation in RELATIONS, line
        assert len(found) == len(groups), line
        for visibility, letters in zip(VISIBILITIES, found, strict=False):
            assert set(letters) <= set("+ox."), line
            for role, expected in zip(COLUMNS, letters, strict=True):
                yield Cell(visibility, relation, role, expected)
