"""``imageservice-manage stores audit``: are all bytes there, and no others?"""

import argparse
from collections import Counter

from oslo_config import cfg

from imageservice import errors, service
from imageservice.care import jobs
from imageservice.care.audit import Audit, Choice, Counts
from imageservice.care.findings import Finding, Kind, Outcome
from imageservice.care.mending import Mending
from imageservice.care.pace import Pace
from imageservice.care.report import Progress, as_json, size, table
from imageservice.care.tools import Tools
from imageservice.cmd import arguments
from imageservice.domain.location import redacted
from imageservice.stores import registry
from imageservice.wsgi import threads

ADVICE = {
    Outcome.FOUND: "--dry-run says what can be mended, --repair mends it.",
    Outcome.WOULD_REPLACE: "--repair instead of --dry-run does it.",
    Outcome.WOULD_REMOVE: "--repair instead of --dry-run does it.",
    Outcome.NO_COPY: "no good copy: bring the bytes back from a backup, or delete the image.",
    Outcome.KEPT: "kept: see the reason in its line; the same command tries again.",
}
"""What to do about things that are left, by what was done so far."""


def describe(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--store", action="append", metavar="ID", help="only this one; may be repeated"
    )
    one.add_argument(
        "--digest",
        action="store_true",
        help="read all data and compare it with the digests of the upload",
    )
    one.add_argument(
        "--repair",
        action="store_true",
        help="replace bad copies from good ones in other stores, remove what belongs to "
        "no image; the service may be running",
    )
    one.add_argument(
        "--dry-run", action="store_true", help="only say what --repair would do"
    )
    one.add_argument(
        "--min-age",
        type=arguments.hours,
        default=24.0,
        metavar="HOURS",
        help="leave alone what no image has and what is younger, by the store's own "
        "clock; 24 if not given. More than the longest upload takes; 0 only if there are "
        "none",
    )
    one.add_argument(
        "--force",
        action="store_true",
        help="go on even if most of a store's data seems to be missing, or much of it to "
        "belong to no image (half of it, or more than 10 objects and 1 percent), and "
        "remove what is newer than every image the database knows: look first whether "
        "the store is mounted, and the database the right one and not an old backup",
    )
    arguments.describe_care(one)


def audit(conf: cfg.ConfigOpts, asked: argparse.Namespace) -> int:
    """Compare stores with the database; mend what is wrong if that is asked.

    Exit code: 0 nothing is wrong any more, 3 something is, 1 a store could not be audited.
    """
    pace = arguments.pace(asked)
    with service.tools(conf, threads.Workers(), pace.pass_on) as tools:
        chosen = [tools.stores.get(name) for name in asked.store or ()]
        auditing = _Auditing(tools, asked, pace)
        for store in chosen or tools.stores.all:
            auditing.store(store)
        if not chosen:
            auditing.unknown_stores()
        return auditing.end()


class _Auditing:
    def __init__(self, tools: Tools, asked: argparse.Namespace, pace: Pace) -> None:
        self._tools = tools
        self._json = asked.json
        self._pace = pace
        self._choice = Choice(
            digest=asked.digest,
            min_age_s=asked.min_age * 3600,
            jobs=asked.jobs,
            force=asked.force,
            removes=asked.repair and not asked.dry_run,
        )
        self._mends = asked.repair or asked.dry_run
        self._mending = Mending(tools, pace, dry_run=asked.dry_run)
        known = {store.id for store in tools.stores.all}
        self._elsewhere = sorted(tools.inventory.stores() - known)
        self._line = Progress()
        self._rows: list[dict[str, object]] = []
        self._troubles: list[str] = []
        self._left: Counter[Outcome] = Counter()

    def store(self, store: registry.Store) -> None:
        found: Counter[Kind] = Counter()
        mended = 0

        def show(doing: str, count: int) -> None:
            read = f", {size(one.counts.read)} read" if one.counts.read else ""
            self._line(f"{store.id}: {doing} {count}{read}, wrong {found.total()}")

        one = Audit(
            store,
            self._tools.inventory,
            self._tools.workers,
            self._choice,
            self._pace,
            show,
            self._elsewhere,
        )
        trouble = ""
        try:
            for finding in one.findings():
                done = self._mended(finding) if self._mends else finding
                found[done.kind] += 1
                if done.outcome.is_mended:
                    mended += 1
                else:
                    self._left[done.outcome] += 1
                self._tell(done)
        except errors.Error as error:
            trouble = str(error)
        self._line.clear()
        self._sum_up(store.id, one.counts, found, mended, trouble)

    def _mended(self, finding: Finding) -> Finding:
        def show() -> None:
            self._line(f"{finding.store}: mending {finding.image_id}")

        (done,) = jobs.done(self._mending.mend, (finding,), 1, self._pace, show)
        return done

    def unknown_stores(self) -> None:
        """Say so if there are copies in stores that are not configured any more."""
        for name in self._elsewhere:
            trouble = (
                "there are copies in it, but it is not configured. Configure it, or, if "
                "another store holds them now, run 'imageservice-manage stores relocate'"
            )
            self._sum_up(name, Counts(), Counter(), 0, trouble)

    def _tell(self, finding: Finding) -> None:
        self._line.clear()
        if self._json:
            shown = finding._replace(url=redacted(finding.url))
            print(as_json("finding", shown._asdict()))
            return
        what = "" if finding.outcome is Outcome.FOUND else f" -> {finding.outcome}"
        why = f" ({finding.reason})" if finding.reason else ""
        print(f"{finding.store}: {finding.kind} {finding.image_id}{what}{why}")

    def _sum_up(
        self,
        store: str,
        counts: Counts,
        found: Counter[Kind],
        mended: int,
        trouble: str,
    ) -> None:
        if trouble:
            self._troubles.append(f"{store}: not audited to its end: {trouble}")
        row: dict[str, object] = {"store": store, **counts._asdict()}
        row |= {kind.value: found[kind] for kind in Kind} | {"mended": mended}
        if self._json:
            print(as_json("store", row | {"error": trouble or None}))
        else:
            self._rows.append(row | {"read": size(counts.read)})

    def end(self) -> int:
        """Say what is to be done, last, where it is seen; return the exit code."""
        if not self._json:
            print(table(self._rows))
            for trouble in self._troubles:
                print(trouble)
            for advice in dict.fromkeys(ADVICE[outcome] for outcome in self._left):
                print(f"Left: {advice}")
        if self._troubles:
            return 1
        return arguments.FOUND if self._left else 0
