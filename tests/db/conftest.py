"""One suite on SQLite, PostgreSQL and MariaDB: each test gets an empty database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete

from imageservice.db import tables
from imageservice.db.copies import Copies
from imageservice.db.engine import Database
from imageservice.db.images import Images
from imageservice.db.leases import Leases
from imageservice.db.locations import Locations
from imageservice.db.members import Members
from imageservice.db.registrations import Registrations
from imageservice.db.usage import Usage
from tests import databases


@pytest.fixture(scope="session", params=["sqlite", *databases.SERVERS])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(kind: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    with databases.empty(kind, tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def migrated(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with databases.ready(kind, tmp_path_factory.mktemp("db")) as url:
        database = Database(url)
        yield database
        database.close()


@pytest.fixture
def database(migrated: Database) -> Iterator[Database]:
    yield migrated

    # Whatever a test did, the counters of projects say what there is.
    counters = Usage(migrated)
    for project in counters.projects():
        before, after = counters.recount(project)
        assert before == after, project

    def empty(connection: Connection) -> None:
        for table in reversed(tables.metadata.sorted_tables):
            connection.execute(delete(table))

    migrated.write(empty)


@pytest.fixture
def images(database: Database) -> Images:
    return Images(database)


@pytest.fixture
def copies(database: Database) -> Copies:
    return Copies(database)


@pytest.fixture
def locations(database: Database) -> Locations:
    return Locations(database)


@pytest.fixture
def registrations(database: Database) -> Registrations:
    return Registrations(database)


@pytest.fixture
def leases(database: Database) -> Leases:
    return Leases(database)


@pytest.fixture
def members(database: Database) -> Members:
    return Members(database)


@pytest.fixture
def usage(database: Database) -> Usage:
    return Usage(database)
