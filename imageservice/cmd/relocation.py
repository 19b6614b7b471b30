"""``imageservice-manage stores relocate``: write stored locations as they are written today.

Rows that another image service wrote may hold keys of accounts, or name a store that is
not configured any more (contract operations.md §3.3, §3.5). They are read all the same; here
they are mended. What is done stays done, so a run that was ended is run again, and the
service may be running.

What a transfer was writing when its worker died is noted by its store alone: which store that
is now has to be said (``--renamed``).
"""

import dataclasses
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence

from imageservice import errors
from imageservice.db.engine import Database
from imageservice.db.leases import Leases, Watched
from imageservice.db.relocation import Locations, Move, Moved, Row
from imageservice.domain.location import redacted
from imageservice.stores.registry import Store, Stores

LOG = logging.getLogger(__name__)

BATCH = 500
"""Rows that are read, and rewritten in a transaction, at a time."""

LEFT = 1
"""Exit code if some rows could not be mended."""


@dataclasses.dataclass
class Report:
    """What was found and done; ``left`` are rows of no configured store, or of a place taken.

    ``transfers`` that were under way are now of another store, or ``stuck`` in one that
    is not configured.
    """

    examined: int = 0
    rewritten: int = 0
    left: list[Row] = dataclasses.field(default_factory=list)
    transfers: int = 0
    stuck: list[Watched] = dataclasses.field(default_factory=list)

    @property
    def exit_code(self) -> int:
        return LEFT if self.left or self.stuck else 0


def renamed(pairs: Sequence[str], stores: Stores) -> dict[str, str]:
    """Understand ``OLD=NEW``, the ids of stores. Raises BadRequest, StoreUnknown."""
    ids: dict[str, str] = {}
    for pair in pairs:
        old, _, new = pair.partition("=")
        if any(store.id == old for store in stores.all):
            raise errors.BadRequest(reason=f"Store '{old}' is configured: not renamed")
        ids[old] = stores.get(new).id
    return ids


def run(
    database: Database,
    stores: Stores,
    ids: Mapping[str, str],
    *,
    dry_run: bool,
    as_json: bool,
    batch: int = BATCH,
) -> int:
    """Rewrite stored locations: without credentials, and in stores that are configured."""
    report = Report()
    _move_transfers(Leases(database), stores, ids, report, dry_run=dry_run)
    locations = Locations(database)
    for rows in _batches(locations, batch):
        moves = [move for row in rows if (move := _move(stores, ids, row, report))]
        report.examined += len(rows)
        moved = Moved(len(moves), []) if dry_run else locations.move(moves)
        report.rewritten += moved.rewritten
        report.left += moved.taken
        print(f"{report.examined} locations", end="\r", file=sys.stderr)
    print(_as_json(report, dry_run) if as_json else _as_text(report, dry_run))
    return report.exit_code


def _move_transfers(
    leases: Leases,
    stores: Stores,
    ids: Mapping[str, str],
    report: Report,
    *,
    dry_run: bool,
) -> None:
    """Let housekeeping clean up after dead writers in the stores of today."""
    known = {store.id for store in stores.all}
    held = [lease for lease in leases.watch() if lease.store not in ("", *known)]
    report.stuck = [lease for lease in held if lease.store not in ids]
    report.transfers = len(held) - len(report.stuck)
    if not dry_run:
        for old in {lease.store for lease in held} & ids.keys():
            leases.move(old, ids[old])


def _batches(locations: Locations, count: int) -> Iterator[list[Row]]:
    last = 0
    while rows := list(locations.after(last, count)):
        yield rows
        last = rows[-1].id


def _move(
    stores: Stores, ids: Mapping[str, str], row: Row, report: Report
) -> Move | None:
    """What to write instead, None if the row is well or nobody knows."""
    found = _store(stores, ids, row)
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


def _store(stores: Stores, ids: Mapping[str, str], row: Row) -> Store | None:
    """The store of a row.

    None if it is gone, and not exactly one other knows the location; of several that do
    one may have data there. One that was renamed is the one that it is now.
    """
    for store in stores.all:
        if store.id == row.store:
            return store
    knowing = list(stores.knowing(row.url))
    if row.store in ids:
        knowing = [store for store in knowing if store.id == ids[row.store]]
    elif len(knowing) > 1:
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
    stuck = [{"image": each.image_id, "store": each.store} for each in report.stuck]
    transfers = {"rewritten": report.transfers, "left": stuck}
    said = {**counts, "dry_run": dry_run, "left": left, "transfers": transfers}
    return json.dumps(said, indent=2)


def _as_text(report: Report, dry_run: bool) -> str:
    would = "to be rewritten" if dry_run else "rewritten"
    lines = [
        f"{report.examined} locations, {report.rewritten} {would}, {len(report.left)} left"
        " because no configured store, or more than one, has them, or their image has one"
        " there already"
    ]
    for row in report.left:
        lines.append(f"  {row.image_id}  {row.store or '-'}  {redacted(row.url)}")
    if report.transfers or report.stuck:
        lines.append(
            f"{report.transfers} unfinished transfers {would}, {len(report.stuck)} left:"
            " say which stores theirs are now by --renamed OLD=NEW"
        )
    lines += [f"  {each.image_id}  {each.store}" for each in report.stuck]
    return "\n".join(lines)
