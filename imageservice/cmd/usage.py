"""``imageservice-manage usage``: what projects use, as counted; and counting anew."""

import json
from collections.abc import Mapping

from imageservice.db import usage
from imageservice.db.engine import Database
from imageservice.db.usage import Used

HEAD = ("project", *Used._fields)


def run(
    database: Database, project: str | None, *, recount: bool, as_json: bool
) -> int:
    """Print what projects use: images, uploads under way, bytes stored and reserved."""
    counters = usage.Usage(database)
    was: dict[str, Used] = {}
    if recount:
        projects = counters.projects() if project is None else [project]
        for each in projects:
            before, after = counters.recount(each)
            if before != after:
                was[each] = before
    found = counters.all() if project is None else {project: counters.of(project)}
    print(_as_json(found, was) if as_json else _as_table(found, was))
    return 0


def _as_json(found: Mapping[str, Used], was: Mapping[str, Used]) -> str:
    rows = []
    for project, used in found.items():
        row: dict[str, object] = {"project": project, **used._asdict()}
        if project in was:
            row["was"] = was[project]._asdict()
        rows.append(row)
    return json.dumps({"usage": rows}, indent=2)


def _as_table(found: Mapping[str, Used], was: Mapping[str, Used]) -> str:
    rows: list[tuple[str, ...]] = [HEAD]
    for project, used in found.items():
        rows.append((project, *map(str, used)))
        if project in was:
            rows.append(("  was", *map(str, was[project])))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers in rows:
        right = (n.rjust(w) for n, w in zip(numbers, widths[1:], strict=True))
        lines.append("  ".join([name.ljust(widths[0]), *right]))
    return "\n".join(lines)
