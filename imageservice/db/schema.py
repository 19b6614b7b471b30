"""The schema's revision: what it is, what it should be, and how it gets there."""

import contextlib
import logging
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any

from alembic import command, script
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from imageservice import errors
from imageservice.db.engine import Database

LOG = logging.getLogger(__name__)

#: ``alembic/`` of the repository; a link in the source tree, files in a wheel.
MIGRATIONS = pathlib.Path(__file__).parent / "migrations"

#: Two daemons that start at once migrate one after the other under this name.
LOCK = "imageservice-schema"
LOCK_TIMEOUT_S = 600


def head() -> str:
    """Return the revision that this release needs."""
    revision = script.ScriptDirectory(str(MIGRATIONS)).get_current_head()
    assert revision is not None
    return revision


def version(database: Database) -> str | None:
    """Return the database's revision, None if it is empty. Raises Unavailable."""
    return database.write(_current)


def check(database: Database) -> bool:
    """Tell whether the database is at the revision that this release needs."""
    return version(database) == head()


def require_current(database: Database) -> None:
    """Raise Misconfigured, with the remedy, unless ``check`` is true.

    Waits for a database that does not answer yet, see ``[database] max_retries``.
    """
    database.wait()
    found, needed = version(database), head()
    if found != needed:
        reason = (
            f"The database is at revision {found or 'none'}, this release needs {needed}: "
            "run 'imageservice-manage db sync'"
        )
        raise errors.Misconfigured(reason=reason)


def sync(database: Database, revision: str = "head") -> bool:
    """Migrate up to ``revision``; False if there was nothing to do.

    Safe to be run by several processes at the same time. Raises Misconfigured when the
    database belongs to a newer release or cannot hold Unicode, Unavailable.
    """
    database.wait()
    with database.exclusive() as connection, _alone(connection):
        before = _current(connection)
        _require_known(before)
        _require_unicode(connection)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        after = _current(connection)
        if connection.in_transaction():
            connection.commit()
    if before != after:
        LOG.info("database migrated from revision %s to %s", before or "none", after)
    return before != after


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _require_known(revision: str | None) -> None:
    scripts = script.ScriptDirectory(str(MIGRATIONS))
    known = {item.revision for item in scripts.walk_revisions()}
    if revision is not None and revision not in known:
        reason = f"The database is at revision {revision}, which this release does not know: it is newer, or not ours"
        raise errors.Misconfigured(reason=reason)


def _require_unicode(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return  # SQLite has nothing else; the tables of MySQL say it themselves
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        reason = (
            f"The database's encoding is {encoding}: create it with ENCODING 'UTF8'"
        )
        raise errors.Misconfigured(reason=reason)


@contextlib.contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Keep other migrations of this database out; SQLite's transaction does it itself."""
    kind = connection.dialect.name
    if kind == "postgresql":
        key = zlib.crc32(LOCK.encode())
        connection.execute(text("SET lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        connection.commit()
        try:
            yield
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
            connection.commit()
            # The session had its settings changed: it does not go back into the pool.
            connection.invalidate()
    elif kind == "mysql":
        # The name is the server's; other databases on it need not wait.
        name = {"name": "concat(left(database(), 40), '-schema')"}
        got = text(f"SELECT get_lock({name['name']}, {LOCK_TIMEOUT_S})")
        if connection.scalar(got) != 1:
            raise errors.Unavailable(reason="Another process is migrating the database")
        connection.commit()
        try:
            yield
        finally:
            connection.rollback()
            connection.execute(text(f"SELECT release_lock({name['name']})"))
            connection.commit()
    else:
        plain: Any = connection.connection.dbapi_connection
        plain.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT_S * 1000}")
        try:
            yield
        finally:
            # The next user of the connection does not wait as long.
            connection.invalidate()
