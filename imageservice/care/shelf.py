"""What a store was found to hold: on disk, so that millions of objects need no memory."""

import contextlib
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

from imageservice import errors
from imageservice.stores.driver import Listed

BATCH = 5000
"""Objects remembered at a time."""

OUR_KEY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""Keys of images; what has another name was put there by somebody else."""

_TABLE = """
CREATE TABLE listed (
    key TEXT NOT NULL, url TEXT NOT NULL, size INTEGER, age_s REAL,
    is_ours INTEGER NOT NULL, is_known INTEGER NOT NULL DEFAULT 0
)
"""

# To discard a key removes all that lies under it.
_UNKNOWN = """
FROM listed WHERE key NOT IN (SELECT key FROM listed WHERE is_known)
"""
_OLD = f"{_UNKNOWN} AND is_ours AND age_s >= ?"
_YOUNG = f"{_UNKNOWN} AND is_ours AND coalesce(age_s < ?, TRUE)"
_FOREIGN = f"{_UNKNOWN} AND NOT is_ours"


class TooSmall(errors.Unavailable):
    template = (
        "The listing cannot be kept in {folder}: {reason}. It takes some 300 bytes for an "
        "object: name a folder with more room in the environment variable TMPDIR."
    )


class Unknown(NamedTuple):
    """How many of the listed objects no row names."""

    old: int
    young: int  # which may get a row yet
    foreign: int  # nobody's image


class Shelf:
    """A listing that can be asked for single places; it goes away with its file.

    For one thread. The temporary file needs some 300 bytes for an object, in TMPDIR.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="imageservice-audit-")
        self._rows = sqlite3.connect(
            f"{self._folder.name}/listed", isolation_level=None
        )
        for setting in ("journal_mode = OFF", "synchronous = OFF"):
            self._rows.execute(f"PRAGMA {setting}")
        self._rows.execute(_TABLE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()
        self._folder.cleanup()

    def fill(self, listing: Iterable[Listed]) -> Iterator[int]:
        """Remember a listing; gives the number of objects now and then."""
        count = 0
        batch: list[tuple[object, ...]] = []
        for each in listing:
            key = each.key.encode(errors="surrogateescape").decode(errors="replace")
            is_ours = bool(OUR_KEY.fullmatch(key))
            # Stores tell their time by the second: what is new may be a little younger.
            age_s = None if each.age_s is None else max(each.age_s, 0.0)
            batch.append((key, each.url, each.size, age_s, is_ours))
            count += 1
            if len(batch) == BATCH:
                self._add(batch)
                batch.clear()
                yield count
        self._add(batch)
        with self._room():
            self._rows.execute("CREATE INDEX by_url ON listed (url)")
            self._rows.execute("CREATE INDEX by_key ON listed (key)")
        yield count

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise TooSmall(folder=self._folder.name, reason=error) from error

    def _add(self, batch: list[tuple[object, ...]]) -> None:
        with self._room():
            self._rows.execute("BEGIN")
            self._rows.executemany(
                "INSERT INTO listed (key, url, size, age_s, is_ours)"
                " VALUES (?, ?, ?, ?, ?)",
                batch,
            )
            self._rows.execute("COMMIT")

    def know(self, url: str) -> bool:
        """Note that a row names this place; returns whether something lies there."""
        statement = "UPDATE listed SET is_known = 1 WHERE url = ?"
        return self._rows.execute(statement, (url,)).rowcount > 0

    def at(self, url: str) -> Listed | None:
        statement = "SELECT key, url, size, age_s FROM listed WHERE url = ?"
        row = self._rows.execute(statement, (url,)).fetchone()
        return Listed(*row) if row else None

    def unknown(self, min_age_s: float) -> Iterator[Listed]:
        """Keys of images that no row names anything of, if they are old enough."""
        statement = f"SELECT key, url, size, age_s {_OLD}"
        for row in self._rows.execute(statement, (min_age_s,)):
            yield Listed(*row)

    def newest_s(self) -> float | None:
        """The age of the newest that a row names, None if no age of any is known."""
        statement = "SELECT min(age_s) FROM listed WHERE is_known"
        age_s: float | None = self._rows.execute(statement).fetchone()[0]
        return age_s

    def count(self, min_age_s: float) -> Unknown:
        return Unknown(
            self._count(_OLD, min_age_s),
            self._count(_YOUNG, min_age_s),
            self._count(_FOREIGN),
        )

    def _count(self, which: str, *values: float) -> int:
        found = self._rows.execute(f"SELECT count(*) {which}", values)
        return int(found.fetchone()[0])
