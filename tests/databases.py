"""Databases for tests: empty ones, each used once and dropped afterwards.

The servers' addresses come from the environment, else they are looked for on this
machine. A test whose server is missing is skipped; where CI is set, it fails.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy
from sqlalchemy import exc

from imageservice.db import engine, schema

SERVERS = {
    "postgresql": os.environ.get(
        "IMAGESERVICE_TEST_POSTGRESQL",
        "postgresql+psycopg2://postgres@127.0.0.1:5432/postgres",
    ),
    "mysql": os.environ.get(
        "IMAGESERVICE_TEST_MYSQL", "mysql+pymysql://root@127.0.0.1:3306/mysql"
    ),
}
CONNECT_S = 5


@contextlib.contextmanager
def empty(kind: str, folder: Path) -> Iterator[str]:
    """Make an empty database (``sqlite`` in ``folder``) and return its URL."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/{uuid.uuid4().hex}.sqlite"
        return
    server = sqlalchemy.make_url(SERVERS[kind])
    name = f"imageservice_{uuid.uuid4().hex[:12]}"
    _run(kind, server, f"CREATE DATABASE {name}{_CREATED[kind]}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        _run(kind, server, f"DROP DATABASE {name}{_DROPPED[kind]}")


@contextlib.contextmanager
def ready(kind: str, folder: Path) -> Iterator[str]:
    """Make a database with all tables and return its URL."""
    with empty(kind, folder) as url:
        database = engine.Database(url)
        try:
            schema.sync(database)
        finally:
            database.close()
        yield url


_CREATED = {"postgresql": "", "mysql": " CHARACTER SET utf8mb4"}
_DROPPED = {"postgresql": " WITH (FORCE)", "mysql": ""}


def _run(kind: str, server: sqlalchemy.URL, statement: str) -> None:
    """Run a statement outside of a transaction, as these must."""
    maker = sqlalchemy.create_engine(
        server,
        isolation_level="AUTOCOMMIT",
        connect_args={"connect_timeout": CONNECT_S},
    )
    try:
        with maker.connect() as connection:
            connection.execute(sqlalchemy.text(statement))
    except exc.OperationalError as error:
        missing(f"no {kind} server at {server!r}: {error.orig}")
    finally:
        maker.dispose()


def missing(reason: str) -> NoReturn:
    """Skip a test whose server is missing; where CI is set, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
