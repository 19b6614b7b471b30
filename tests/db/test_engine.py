import contextlib
import functools
import logging
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, literal, select, text, update

from imageservice import errors
from imageservice.db import tables
from imageservice.db.engine import Database
from imageservice.db.options import Options
from tests import databases
from tests.db.factories import NOW

ONE = select(literal(1))


class Naps(list[float]):
    """Keeps what would have been slept."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
def napping(database: Database, kind: str, naps: Naps) -> Iterator[Database]:
    """The same database, through connections of its own and without waiting."""
    url = database.url.render_as_string(hide_password=False)
    other = Database(url, Options(db_max_retries=3), sleep=naps)
    yield other
    other.close()


def tombstone(connection: Connection, name: str) -> None:
    connection.execute(insert(tables.deleted_images), {"id": name, "deleted_at": NOW})


def tombstones(database: Database) -> list[str]:
    rows = database.read(select(tables.deleted_images.c.id).order_by("id"))
    return [row.id for row in rows]


def test_what_raises_is_rolled_back_and_not_tried_again(
    napping: Database, naps: Naps
) -> None:
    def transaction(connection: Connection) -> None:
        tombstone(connection, "a")
        raise errors.ImageNotFound(image_id="a")

    with pytest.raises(errors.ImageNotFound):
        napping.write(transaction)

    assert tombstones(napping) == []
    assert naps == []


def test_transactions_in_deadlock_both_succeed(database: Database) -> None:
    for name in ("a", "b"):
        database.write(functools.partial(tombstone, name=name))
    table = tables.deleted_images
    met = threading.Barrier(2)
    runs = []

    def transaction(first: str, second: str) -> None:
        tries = []

        def body(connection: Connection) -> None:
            tries.append(1)
            change = update(table).values(deleted_at=NOW)
            connection.execute(change.where(table.c.id == first))
            if len(tries) == 1 and database.dialect != "sqlite":
                met.wait(10)
            connection.execute(change.where(table.c.id == second))

        database.write(body)
        runs.append(len(tries))

    threads = [
        threading.Thread(target=transaction, args=names)
        for names in (("a", "b"), ("b", "a"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    # SQLite has one writer at a time and no deadlock.
    assert sorted(runs) == ([1, 1] if database.dialect == "sqlite" else [1, 2])


# The others wait for their lock timeout in the server.
@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_lock_that_does_not_come_free_ends_in_503(
    database: Database, napping: Database, naps: Naps
) -> None:
    holder = database.exclusive()
    with holder as connection:
        tombstone(connection, "a")
        with pytest.raises(errors.Unavailable):
            napping.write(lambda c: tombstone(c, "b"))

    assert len(naps) == 3
    assert naps == sorted(naps)
    napping.write(lambda c: tombstone(c, "b"))
    assert tombstones(napping) == ["b"]


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A file that lets nobody else in, as while its last user leaves or recovers it."""
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("CREATE TABLE some (number)")
        yield holder


def test_a_locked_file_is_waited_for_at_the_start(
    tmp_path: Path, locked: sqlite3.Connection
) -> None:
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            locked.close()

    database = Database(f"sqlite:///{tmp_path}/x.db", sleep=nap)

    database.wait()

    assert len(naps) == 2
    database.close()


def test_a_file_that_stays_locked_is_unavailable_at_the_start(
    tmp_path: Path, locked: sqlite3.Connection, naps: Naps
) -> None:
    chosen = Options(db_max_retries=3)
    database = Database(f"sqlite:///{tmp_path}/x.db", chosen, sleep=naps)

    with pytest.raises(errors.Unavailable):
        database.wait()
    with pytest.raises(errors.Unavailable), database.exclusive():
        pass

    assert len(naps) == 3


# SQLite has no connections that could be cut.
@pytest.mark.parametrize("kind", databases.SERVERS, indirect=True)
def test_connections_that_were_cut_are_replaced(
    kind: str, database: Database, napping: Database, naps: Naps
) -> None:
    napping.write(lambda c: tombstone(c, "a"))
    assert tombstones(napping) == ["a"]
    cut(database, kind)

    assert tombstones(napping) == ["a"]
    cut(database, kind)
    napping.write(lambda c: tombstone(c, "b"))

    assert tombstones(napping) == ["a", "b"]
    assert naps == []


def cut(database: Database, kind: str) -> None:
    """End all other sessions of the database, on the server."""
    cutter = Database(database.url.render_as_string(hide_password=False))
    others = {
        "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        "mysql": "SELECT concat('KILL ', id) FROM information_schema.processlist"
        " WHERE db = database() AND id <> connection_id()",
    }
    with cutter.exclusive() as connection:
        for found in connection.scalars(text(others[kind])).all():
            if kind == "mysql":
                connection.execute(text(found))
    cutter.close()


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("postgresql://user:secret@127.0.0.1:1/x", id="postgresql"),
        pytest.param("mysql://user:secret@127.0.0.1:1/x", id="mysql"),
        pytest.param("sqlite:////no/such/folder/x.db", id="sqlite"),
    ],
)
def test_a_database_that_is_not_there_is_unavailable(
    url: str, naps: Naps, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(url, Options(max_retries=2, retry_interval=7), sleep=naps)

    with caplog.at_level(logging.DEBUG), pytest.raises(errors.Unavailable) as caught:
        database.read(ONE)
    with pytest.raises(errors.Unavailable):
        database.write(lambda connection: None)
    assert naps == []

    with pytest.raises(errors.Unavailable):
        database.wait()
    # A file does not come up by itself.
    assert naps == ([] if database.dialect == "sqlite" else [7, 7])
    assert "secret" not in caplog.text + str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "nonsense", "oracle://host/x", "sqlite://", "postgresql://h:port/x"]
)
def test_a_url_that_cannot_work_is_misconfigured(url: str) -> None:
    with pytest.raises(errors.Misconfigured, match="connection"):
        Database(url)


def test_sqlite_commits_reach_the_disk(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    lax = Database(f"sqlite:///{tmp_path}/y.db", Options(sqlite_synchronous=False))

    for one, expected in ((database, 2), (lax, 0)):
        with one.exclusive() as connection:
            pragma = connection.exec_driver_sql
            assert pragma("PRAGMA journal_mode").scalar() == "wal"
            assert pragma("PRAGMA synchronous").scalar() == expected
            assert pragma("PRAGMA foreign_keys").scalar() == 1
        one.close()
