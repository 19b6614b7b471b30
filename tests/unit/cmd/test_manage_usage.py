"""``imageservice-manage usage``."""

import json

import pytest
from sqlalchemy import update

from imageservice.cmd import manage
from imageservice.db import schema
from imageservice.db.engine import Database
from imageservice.db.images import Images
from imageservice.db.tables import project_usage
from tests.db.factories import an_image


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/rows.sqlite")
    yield database
    database.close()


@pytest.fixture
def usage(database, tmp_path, capsys):
    """Runs the command; returns its exit code and what it printed."""
    path = tmp_path / "api.conf"
    path.write_text(f"[database]\nconnection = {database.url}\n")

    def run(*words):
        code = manage.main(["--config-file", str(path), "usage", *words])
        return code, capsys.readouterr().out

    return run


def test_a_table_of_all_projects_or_of_one(usage, database):
    schema.sync(database)
    for owner in ("a", "a", "bbbb", None):
        Images(database).insert(an_image(owner=owner))

    assert usage() == (
        0,
        "project  images  uploading  bytes  reserved\n"
        "a             2          0      0         0\n"
        "bbbb          1          0      0         0\n",
    )
    code, printed = usage("--project", "bbbb", "--json")
    assert code == 0
    assert json.loads(printed) == {
        "usage": [
            {"project": "bbbb", "images": 1, "uploading": 0, "bytes": 0, "reserved": 0}
        ]
    }


def test_what_is_wrong_is_mended_and_told(usage, database):
    schema.sync(database)
    Images(database).insert(an_image(owner="a"))
    wrong = update(project_usage).values(images=7, bytes=-5)
    database.write(lambda connection: connection.execute(wrong) and None)

    code, printed = usage("--recount", "--json")

    assert code == 0
    (row,) = json.loads(printed)["usage"]
    assert (row["images"], row["bytes"]) == (1, 0)
    assert (row["was"]["images"], row["was"]["bytes"]) == (7, -5)
    assert "was" not in usage("--recount")[1]


def test_a_database_without_counters_is_not_touched(usage, database):
    schema.sync(database, "0001_images")

    assert usage("--recount") == (1, "")
