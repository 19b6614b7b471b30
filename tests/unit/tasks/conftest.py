"""Rows that background jobs work on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imageservice.db import schema
from imageservice.db.engine import Database
from imageservice.db.usage import Usage


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database; in the end the projects' counters are what a recount finds."""
    database = Database(f"sqlite:///{tmp_path}/rows.sqlite")
    schema.sync(database)
    yield database
    counters = Usage(database)
    for project in counters.projects():
        before, after = counters.recount(project)
        assert before == after, project
    database.close()
