"""A store as somebody else would write it: an SQLite file per store.

It knows of the service only what ``imageservice.stores.driver`` and ``imageservice.errors``
say. Data lies in rows of 1 MiB; those of a write belong to its token, and one statement
makes the token the key's.
"""

import contextlib
import os
import sqlite3
import uuid
from urllib.parse import quote, unquote

from oslo_config import cfg

from imageservice import errors
from imageservice.stores.driver import BLOCK, Capability, Driver, Written

TABLES = """
CREATE TABLE IF NOT EXISTS writes (token TEXT PRIMARY KEY, key TEXT);
CREATE TABLE IF NOT EXISTS blocks (token TEXT, number INTEGER, data BLOB,
    PRIMARY KEY (token, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS images (key TEXT PRIMARY KEY, token TEXT, size INTEGER);
"""


class Toy(Driver):
    kind = "toy"
    OPTS = (
        cfg.StrOpt("toy_store_file", help="Where the data lies."),
        cfg.StrOpt("toy_store_password", secret=True, help="Shown to nobody."),
    )
    capabilities = (
        Capability.READ
        | Capability.RANGE
        | Capability.WRITE
        | Capability.DELETE
        | Capability.SIZE
    )

    def __init__(self, name, workers, path):
        super().__init__(name, workers)
        self.path = path

    @classmethod
    def configured(cls, name, options, workers):
        if not options["toy_store_file"]:
            raise errors.Misconfigured(
                reason=f"store '{name}': toy_store_file has to be set"
            )
        return cls(name, workers, options["toy_store_file"])

    def claims(self):
        return [os.path.realpath(self.path)]

    def create(self):
        with self._opened(make=True) as rows:
            rows.executescript(TABLES)

    def check(self):
        with self._opened() as rows:
            rows.execute("SELECT count(*) FROM images WHERE key = ''")

    def held(self):
        """Keys of all that is there, finished or not."""
        with self._opened() as rows:
            return [
                key
                for (key,) in rows.execute(
                    "SELECT key FROM writes UNION ALL SELECT key FROM images"
                    " UNION ALL SELECT token FROM blocks"
                )
            ]

    @contextlib.contextmanager
    def _opened(self, *, make=False):
        mode = "rwc" if make else "rw"
        try:
            # Not shared by threads, and closed at the end: simple, and quick enough.
            rows = sqlite3.connect(
                f"file:{quote(self.path)}?mode={mode}", timeout=30, uri=True
            )
            with contextlib.closing(rows), rows:
                yield rows
        except sqlite3.Error as error:
            reason = f"its file cannot be used ({type(error).__name__})"
            raise errors.StoreUnavailable(store=self.name, reason=reason) from error

    def _call(self, function, *args):
        def within():
            with self._opened() as rows:
                return function(rows, *args)

        return self.workers.run(within)

    # --- writing ---

    def write(self, key, data, size):
        self._plain(key)
        token = uuid.uuid4().hex
        self._call(self._begin, key, token)
        total = number = 0
        try:
            while block := data.read(BLOCK):
                self._call(self._add, key, token, number, bytes(block))
                total += len(block)
                number += 1
            self._call(self._publish, key, token, total)
        except BaseException:
            self._call(self._forget, token)
            raise
        return Written(self._url(key), total, {})

    def _plain(self, key):
        if not key or not key.isprintable() or len(key) > 255:
            raise errors.LocationInvalid(store=self.name)

    def _begin(self, rows, key, token):
        rows.execute("BEGIN IMMEDIATE")
        if rows.execute("SELECT 1 FROM images WHERE key = ?", [key]).fetchone():
            raise errors.KeyExists(store=self.name, key=key)
        rows.execute("INSERT INTO writes VALUES (?, ?)", [token, key])

    def _add(self, rows, key, token, number, block):
        rows.execute("BEGIN IMMEDIATE")
        self._require(rows, key, token)
        rows.execute("INSERT INTO blocks VALUES (?, ?, ?)", [token, number, block])

    def _publish(self, rows, key, token, size):
        rows.execute("BEGIN IMMEDIATE")
        self._require(rows, key, token)
        try:
            rows.execute("INSERT INTO images VALUES (?, ?, ?)", [key, token, size])
        except sqlite3.IntegrityError:
            raise errors.KeyExists(store=self.name, key=key) from None
        rows.execute("DELETE FROM writes WHERE token = ?", [token])

    def _require(self, rows, key, token):
        if not rows.execute("SELECT 1 FROM writes WHERE token = ?", [token]).fetchone():
            raise errors.LeaseLost(image_id=key)

    def _forget(self, rows, token):
        rows.execute("DELETE FROM blocks WHERE token = ?", [token])
        rows.execute("DELETE FROM writes WHERE token = ?", [token])

    # --- reading ---

    def _url(self, key):
        return f"toy://{quote(key, safe='')}"

    def _key(self, url):
        scheme, separator, key = url.partition("://")
        if scheme != "toy" or not separator or url != self._url(unquote(key)):
            raise errors.LocationInvalid(store=self.name)
        return unquote(key)

    def canonical(self, url):
        return self._url(self._key(url))

    def _find(self, rows, key):
        found = rows.execute(
            "SELECT token, size FROM images WHERE key = ?", [key]
        ).fetchone()
        if found is None:
            raise errors.KeyNotFound(store=self.name, key=key)
        return found

    def read(self, url, offset=0, length=None):
        token, size = self._call(self._find, self._key(url))
        end = size if length is None else offset + length
        if offset > size or end > size:
            reason = "the data has fewer bytes than it should"
            raise errors.StoreUnavailable(store=self.name, reason=reason)
        return Chunks(self, token, offset, end)

    def block(self, token, number):
        return self._call(self._block, token, number)

    def _block(self, rows, token, number):
        found = rows.execute(
            "SELECT data FROM blocks WHERE token = ? AND number = ?", [token, number]
        ).fetchone()
        if found is None:
            reason = "the data was removed while it was read"
            raise errors.StoreUnavailable(store=self.name, reason=reason)
        return found[0]

    def size(self, url):
        return self._call(self._find, self._key(url))[1]

    # --- removing ---

    def delete(self, url):
        self._call(self._delete, self._key(url))

    def _delete(self, rows, key):
        token, _ = self._find(rows, key)
        rows.execute("DELETE FROM images WHERE key = ?", [key])
        self._forget(rows, token)

    def discard(self, key):
        self._plain(key)
        self._call(self._discard, key)

    def _discard(self, rows, key):
        rows.execute("BEGIN IMMEDIATE")
        tokens = rows.execute("SELECT token FROM writes WHERE key = ?", [key])
        for (token,) in tokens.fetchall():
            self._forget(rows, token)
        with contextlib.suppress(errors.KeyNotFound):
            self._delete(rows, key)


class Chunks:
    """The bytes of a read; blocks may have any size up to 1 MiB, as they were written."""

    def __init__(self, store, token, start, end):
        self._store = store
        self._token = token
        self._start = start
        self._end = end

    def __iter__(self):
        position = number = 0
        while position < self._end:
            block = self._store.block(self._token, number)
            piece = block[max(0, self._start - position) : max(0, self._end - position)]
            if piece:
                yield piece
            position += len(block)
            number += 1

    def close(self):
        self._end = 0
