"""Paste files made of the one that is shipped: a filter more, an option else."""

import configparser
from collections.abc import Mapping, Sequence
from pathlib import Path

SHIPPED = Path(__file__).parents[2] / "etc" / "api-paste.ini"

Sections = Mapping[str, Mapping[str, object]]


def write(
    path: Path,
    *,
    before: Mapping[str, str] | None = None,
    without: Sequence[str] = ("authtoken",),
    sections: Sections | None = None,
) -> Path:
    """Write the shipped file with filters ``before`` others; return its path.

    Without authtoken identity headers are believed. ``sections`` add to, or replace,
    options of the filters.
    """
    parser = configparser.RawConfigParser(default_section="no such section")
    parser.read(SHIPPED)
    names = parser["pipeline:api-keystone"]["pipeline"].split()
    for name, place in (before or {}).items():
        names.insert(names.index(place), name)
    pipeline = " ".join(name for name in names if name not in without)
    parser["pipeline:api-keystone"]["pipeline"] = pipeline
    for section, options in (sections or {}).items():
        if not parser.has_section(section):
            parser.add_section(section)
        for option, value in options.items():
            parser[section][option] = str(value)
    with path.open("w", encoding="utf-8") as file:
        parser.write(file)
    return path
