"""``imageservice-manage stores relocate``: write stored locations as they are written today.

Rows that another image service wrote may hold keys of accounts, or name a store that is
not configured any more (contract operations.md §3.3, §3.5). They are read all the same; here
they are mended. What is done stays done, so a run that was ended is run again, and the
service may be running.
"""

import dataclasses
import json
import logging
import sys
from collections.abc import Iterator

from imageservice import errors
from imageservice.db.engine import Database
from imageservice.db.relocation import Locations, Move, Row
from imageservice.domain.location import redacted
from imageservice.stores.registry import Store, Stores

LOG = logging.getLogger(__name__)

BATCH = 500
"""Rows that are read, and rewritten in a transaction, at a time."""

LEFT = 1
"""Exit code if some rows could not be mended."""


@dataclasses.dataclass
class Report:
    """What was found and done; ``left`` are rows of no configured store."""

    examined: int = 0
    rewritten: int = 0
    left: list[Row] = dataclasses.field(default_factory=list)


def run(
    database: Database,
    stores: Stores,
    *,
    dry_run: bool,
    as_json: bool,
    batch: int = BATCH,
) -> int:
    """Rewrite stored locations: without credentials, and in stores that are configured."""
    report = Report()
    locations = Locations(database)
    for rows in _batches(locations, batch):
        moves = [move for row in rows if (move := _move(stores, row, report))]
        report.examined += len(rows)
        report.rewritten += len(moves) if dry_run else locations.move(moves)
        print(f"{report.examined} locations", end="\r", file=sys.stderr)
    print(_as_json(report, dry_run) if as_json else _as_text(report, dry_run))
    return LEFT if report.left else 0


def _batches(locations: Locations, count: int) -> Iterator[list[Row]]:
    last = 0
    while rows := list(locations.after(last, count)):
        yield rows
        last = rows[-1].id


def _move(stores: Stores, row: Row, report: Report) -> Move | None:
    """What to write instead, None if the row is well or nobody knows."""
    found = _store(stores, row)
    try:
        url = found.driver.canonical(row.url) if found else row.url
    except errors.LocationInvalid:
        # Of a driver that never had another form, or of the store's past.
        url = row.url
        if redacted(url) != url:
            found = None
    if found is None:
        report.left.append(row)
        return None
    if (found.id, url) == (row.store, row.url):
        return None
    return Move(row, found.id, url)


def _store(stores: Stores, row: Row) -> Store | None:
    """The store of a row.

    None if it is gone, and not exactly one other knows the location; of several that do
    one may have data there.
    """
    for store in stores.all:
        if store.id == row.store:
            return store
    knowing = list(stores.knowing(row.url))
    if len(knowing) > 1:
        knowing = [store for store in knowing if _may_have(store, row.url)]
    return knowing[0] if len(knowing) == 1 else None


def _may_have(store: Store, url: str) -> bool:
    """Whether data lies there, or nobody can tell."""
    try:
        store.driver.size(url)
    except errors.KeyNotFound:
        return False
    except errors.Error as error:
        LOG.warning("%s", error)
    return True


def _as_json(report: Report, dry_run: bool) -> str:
    left = [
        {"image": row.image_id, "store": row.store, "url": redacted(row.url)}
        for row in report.left
    ]
    counts = {"examined": report.examined, "rewritten": report.rewritten}
    return json.dumps({**counts, "dry_run": dry_run, "left": left}, indent=2)


def _as_text(report: Report, dry_run: bool) -> str:
    would = "to be rewritten" if dry_run else "rewritten"
    lines = [
        f"{report.examined} locations, {report.rewritten} {would}, {len(report.left)} left"
        " because no configured store, or more than one, has them"
    ]
    for row in report.left:
        lines.append(f"  {row.image_id}  {row.store or '-'}  {redacted(row.url)}")
    return "\n".join(lines)
