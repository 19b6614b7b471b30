import functools

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from imageservice import errors
from imageservice.cmd import manage
from imageservice.db import schema, tables
from imageservice.db.engine import Database
from tests.db.factories import at_once


def test_the_migrations_make_the_tables_that_the_program_knows(
    database: Database,
) -> None:
    with database.exclusive() as connection:
        context = MigrationContext.configure(connection)

        assert compare_metadata(context, tables.metadata) == []


def test_an_empty_database_is_due_and_a_migrated_one_is_not(empty_url: str) -> None:
    database = Database(empty_url)
    assert schema.version(database) is None
    assert schema.check(database) is False
    with pytest.raises(errors.Misconfigured, match="imageservice-manage db sync"):
        schema.require_current(database)

    assert schema.sync(database) is True
    assert schema.sync(database) is False

    schema.require_current(database)
    assert schema.version(database) == schema.head()
    database.close()


def test_two_that_migrate_at_once_do_no_harm(empty_url: str) -> None:
    many = [Database(empty_url) for _ in range(3)]

    results = at_once(*(functools.partial(schema.sync, one) for one in many))

    assert sorted(results, key=str) == [False, False, True]
    assert schema.check(many[0])
    for one in many:
        one.close()


def test_a_database_of_a_newer_release_is_left_alone(empty_url: str) -> None:
    database = Database(empty_url)
    schema.sync(database)
    with database.exclusive() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_x'"))
        connection.commit()

    with pytest.raises(errors.Misconfigured, match="9999_x"):
        schema.sync(database)
    with pytest.raises(errors.Misconfigured, match="9999_x"):
        schema.require_current(database)
    database.close()


def test_the_command_says_with_its_exit_code_whether_an_upgrade_is_due(
    empty_url: str, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "api.conf"
    file.write_text(f"[database]\nconnection = {empty_url}\n")
    run = functools.partial(_run, ["--config-file", str(file)])

    assert run("db", "check") == 3
    assert run("db", "version") == 0
    assert run("db_sync") == 0
    assert run("db", "check") == 0
    assert run("db", "sync") == 0
    assert run("db", "upgrade") == 0
    assert run("db_check") == 0
    capsys.readouterr()
    assert run("db", "version") == 0
    assert capsys.readouterr().out.strip() == schema.head()


def test_the_command_without_a_command_shows_its_usage() -> None:
    for words in ([], ["db"], ["db", "drop"]):
        with pytest.raises(SystemExit) as end:
            manage.main(words)
        assert end.value.code == 2


def _run(options: list[str], *words: str) -> int:
    return manage.main([*options, *words])
