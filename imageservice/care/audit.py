"""The audit of a store: are all bytes there that should be, and no others?

First the store is listed, then the rows are read: what was stored and recorded between
the two is therefore never taken for bytes without a row. Whatever looks wrong is looked
at again, in the store and in the database, before it is reported.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol

from imageservice import errors
from imageservice.care import claims, jobs
from imageservice.care.findings import Finding, Kind
from imageservice.care.pace import Pace
from imageservice.care.shelf import Shelf
from imageservice.data.readers import Paced, Poured
from imageservice.data.verified import Expected, Verified
from imageservice.db.inventory import Inventory, Kept
from imageservice.stores import registry
from imageservice.stores.driver import BLOCK, Capability, Listed, Workers

FEW = 10
SHARE = 0.01
"""More objects than these, and than this share of a store's, are never removed unasked."""

NEWER = (
    "newer than every image the database knows: was an old backup restored? "
    "--force removes it"
)


class Suspicious(errors.Conflict):
    template = (
        "Store '{store}' looks wrong, nothing was audited or changed there: {reason}. "
        "See whether the right disk is mounted there, and the database is the right one; "
        "--force goes on nevertheless."
    )


class Choice(NamedTuple):
    """What is asked of an audit."""

    digest: bool = False  # read everything
    min_age_s: float = 24 * 3600
    jobs: int = 4
    force: bool = False
    removes: bool = False  # what is found to belong to nobody is going to be removed


class Counts(NamedTuple):
    """What an audit has looked at in a store."""

    rows: int = 0
    objects: int = 0
    read: int = 0  # bytes
    young: int = 0  # bytes without a row that may get one yet
    foreign: int = 0  # that are nobody's image


class Progress(Protocol):
    def __call__(self, doing: str, count: int) -> None: ...


class Audit:
    """The audit of one store. Raises the store's errors, Suspicious, Stopped.

    ``elsewhere`` are ids of stores that rows name, and that are not configured.
    """

    def __init__(
        self,
        store: registry.Store,
        inventory: Inventory,
        workers: Workers,
        choice: Choice,
        pace: Pace,
        progress: Progress,
        elsewhere: Collection[str] = (),
    ) -> None:
        self._store = store
        self._driver = store.driver
        self._inventory = inventory
        self._workers = workers
        self._choice = choice
        self._pace = pace
        self._progress = progress
        self._elsewhere = elsewhere
        self._read_before = pace.bytes
        self.counts = Counts()

    def findings(self) -> Iterator[Finding]:
        """What is wrong, one after the other; act on each before asking for the next."""
        self._driver.check()
        with Shelf() as shelf:
            if Capability.LIST in self._driver.capabilities:
                self._list(shelf)
                self._know(shelf)
            yield from self._copies(shelf)
            yield from self._unknown(shelf)

    # --- looking around ---

    def _list(self, shelf: Shelf) -> None:
        for count in shelf.fill(self._driver.listing()):
            self._pace.check()
            self._progress("listing", count)
            self.counts = self.counts._replace(objects=count)

    def _know(self, shelf: Shelf) -> None:
        """Match rows with what was listed. Raises Suspicious."""
        rows = there = 0
        for copy in self._inventory.copies(self._store.id):
            self._pace.check()
            url = claims.place(self._driver, copy)
            rows += 1
            there += bool(url and shelf.know(url))
        # Rows of a store that has got another id since then: these bytes are read, too.
        for name in self._elsewhere:
            for copy in self._inventory.copies(name):
                if url := claims.place(self._driver, copy):
                    shelf.know(url)
        unknown = shelf.count(self._choice.min_age_s)
        self.counts = self.counts._replace(young=unknown.young, foreign=unknown.foreign)
        if self._choice.force:
            return
        if rows and there * 2 < rows:
            self._refuse(f"only {there} of its {rows} copies are listed in it")
        ours = self.counts.objects - unknown.foreign
        if self._choice.removes and _are_many(unknown.old, ours):
            # The wrong database, or an old one, would have them removed.
            self._refuse(f"{unknown.old} of its {ours} objects belong to no image")

    def _refuse(self, reason: str) -> None:
        raise Suspicious(store=self._store.id, reason=reason)

    # --- rows: are their bytes there? ---

    def _copies(self, shelf: Shelf) -> Iterator[Finding]:
        def listed(copy: Kept) -> tuple[Kept, Listed | None]:
            url = claims.place(self._driver, copy)
            return copy, shelf.at(url) if url else None

        def waiting() -> None:
            read = self._pace.bytes - self._read_before
            self.counts = self.counts._replace(read=read)
            self._progress("copies", self.counts.rows)

        pairs = map(listed, self._inventory.copies(self._store.id))
        for found in jobs.done(
            self._look, pairs, self._choice.jobs, self._pace, waiting
        ):
            self.counts = self.counts._replace(rows=self.counts.rows + 1)
            waiting()
            if found:
                yield found

    def _look(self, pair: tuple[Kept, Listed | None]) -> Finding | None:
        """What is wrong with a copy; runs in a thread of its own."""
        copy, listed = pair
        self._pace.check()
        if not copy.is_settled or copy.size is None:
            return None
        trouble = self._trouble(copy, listed)
        if trouble is None or self._inventory.again(copy) != copy:
            return None
        kind, size, reason = trouble
        url = copy.url
        return Finding(self._store.id, kind, copy.image_id, url, size, reason=reason)

    def _trouble(
        self, copy: Kept, listed: Listed | None
    ) -> tuple[Kind, int | None, str] | None:
        size = listed.size if listed else None
        try:
            if size != copy.size:  # the listing may be old
                size = self._driver.size(copy.url)
            if size != copy.size:
                return Kind.SIZE, size, f"{size} bytes, recorded are {copy.size}"
            if self._choice.digest:
                verify(self._store, expected(copy), copy.url, self._workers, self._pace)
        except errors.KeyNotFound:
            return Kind.MISSING, None, "nothing lies there"
        except (errors.LocationInvalid, errors.OutboundRefused) as error:
            return Kind.INVALID, None, str(error)
        except errors.ContentChanged:
            return Kind.CONTENT, size, "the content is not what was uploaded"
        except errors.Error as error:
            return Kind.UNREADABLE, size, str(error)
        return None

    # --- bytes: do they belong to an image? ---

    def _unknown(self, shelf: Shelf) -> Iterator[Finding]:
        unfinished = []
        newest_s = shelf.newest_s()
        for listed in shelf.unknown(self._choice.min_age_s):
            self._pace.check()
            if not self._is_settled(listed):
                continue
            if not listed.is_finished:
                unfinished.append(listed)
            elif self._is_there(listed):
                orphan = self._finding(Kind.ORPHAN, listed)
                if not self._choice.force and _is_newer(listed, newest_s):
                    orphan = orphan._replace(reason=NEWER, is_doubtful=True)
                yield orphan
        for listed in self._still(unfinished):
            yield self._finding(Kind.LEFTOVER, listed)

    def _finding(self, kind: Kind, listed: Listed) -> Finding:
        return Finding(self._store.id, kind, listed.key, listed.url, listed.size)

    def _still(self, unfinished: Collection[Listed]) -> Iterator[Listed]:
        """Those that are listed once more: a driver can be asked for nothing less."""
        if not unfinished:
            return
        keys = set()
        for count, listed in enumerate(self._driver.listing()):
            self._pace.check()
            self._progress("listing again", count)
            if not listed.is_finished:
                keys.add(listed.key)
        for listed in unfinished:
            if listed.key in keys and self._is_settled(listed):
                yield listed

    def _is_settled(self, listed: Listed) -> bool:
        """Whether no copy is there, or about to be, to which it belongs."""
        if not self._inventory.state(listed.key).is_settled:
            return False
        # What is unfinished has no location; a write of this very copy may have left it.
        copies = () if listed.is_finished else self._inventory.of(listed.key)
        return not (
            any(store == self._store.id for store, _ in copies)
            or claims.is_claimed(self._driver, self._inventory, listed.key)
        )

    def _is_there(self, listed: Listed) -> bool:
        """Ask the store itself, as listings may be old."""
        try:
            self._driver.size(listed.url)
        except errors.KeyNotFound:
            return False
        return True


def _are_many(removed: int, ours: int) -> bool:
    if removed * 2 >= ours:
        return removed > 0
    return removed > FEW and removed > ours * SHARE


def _is_newer(listed: Listed, newest_s: float | None) -> bool:
    """Whether it may have come after all that rows name, of which the newest is so old.

    What came in the same second may have, too. Where no row is known it is the database
    that nobody knows.
    """
    if newest_s is None or listed.age_s is None:
        return True
    return listed.age_s <= newest_s


def expected(copy: Kept) -> Expected:
    known = (copy.checksum, copy.os_hash_algo, copy.os_hash_value)
    return Expected(copy.image_id, copy.size or 0, *known)


def verify(
    store: registry.Store, wanted: Expected, url: str, workers: Workers, pace: Pace
) -> None:
    """Read a copy to its end. Raises ContentChanged, and what the driver raises."""
    chunks = store.driver.read(url)
    try:
        paced = Paced(Poured(chunks), pace.pass_on)
        with Verified(paced, wanted, workers) as verified:
            while len(verified.read(BLOCK)):
                pass
    finally:
        chunks.close()
