import functools

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, bindparam, text

from imageservice import errors
from imageservice.cmd import manage
from imageservice.db import schema, tables
from imageservice.db.engine import Database
from imageservice.db.usage import Usage, Used
from tests.db.factories import NOW, at_once


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


def test_counters_begin_with_what_is_there(empty_url: str) -> None:
    database = Database(empty_url)
    schema.sync(database, "0001_images")
    image = (
        "INSERT INTO images (id, status, visibility, protected, os_hidden, owner, size,"
        " min_disk, min_ram, created_at, updated_at, version) VALUES (:id, :status,"
        " 'shared', :no, :no, :owner, :size, 0, 0, :now, :now, 1)"
    )
    place = (
        "INSERT INTO image_locations (image_id, store, url, metadata)"
        " VALUES (:id, 's', 'u', '{}')"
    )
    lease = (
        "INSERT INTO leases (image_id, token, worker, store)"
        " VALUES ('saving', 't', 'w', 's')"
    )

    def fill(connection: Connection) -> None:
        for id_, status, owner, size, copies in (
            ("two", "active", "a", 5 * 2**40, 2),
            ("one", "deactivated", "a", 7, 1),
            ("none", "queued", "a", None, 0),
            ("doomed", "pending_delete", "b", 9, 1),
            ("saving", "saving", "c", None, 0),
            ("nobody's", "active", None, 11, 1),
        ):
            values = {"id": id_, "status": status, "owner": owner, "size": size}
            fixed = {"no": False, "now": NOW}
            types = [bindparam("now", type_=tables.images.c.created_at.type)]
            connection.execute(text(image).bindparams(*types), values | fixed)
            for _ in range(copies):
                connection.execute(text(place), {"id": id_})
        connection.execute(text(lease))

    database.write(fill)

    schema.sync(database)

    usage = Usage(database)
    assert usage.all() == {
        "a": Used(images=3, bytes=10 * 2**40 + 7),
        "b": Used(bytes=9),
        "c": Used(images=1),
    }
    for project, used in usage.all().items():
        assert usage.recount(project) == (used, used)
    database.close()


@pytest.mark.parametrize("word", ["CREATE TABLE project_usage", "ALTER", "INSERT INTO"])
def test_a_migration_that_was_interrupted_goes_on(empty_url: str, word: str) -> None:
    """MariaDB and MySQL keep what had been done by then."""
    begun = Database(empty_url)
    schema.sync(begun, "0001_images")
    image = (
        "INSERT INTO images (id, status, visibility, protected, os_hidden, owner,"
        " min_disk, min_ram, created_at, updated_at, version) VALUES ('i', 'queued',"
        " 'shared', :no, :no, 'a', 0, 0, :now, :now, 1)"
    )
    typed = bindparam("now", type_=tables.images.c.created_at.type)
    values = {"no": False, "now": NOW}
    begun.write(lambda c: c.execute(text(image).bindparams(typed), values) and None)

    def interrupt(*event: object) -> None:
        if str(event[2]).lstrip().startswith(word):
            raise KeyboardInterrupt

    begun.trace(
        lambda _, engine: sqlalchemy.event.listen(
            engine, "after_cursor_execute", interrupt
        )
    )
    with pytest.raises(KeyboardInterrupt):
        schema.sync(begun)
    begun.close()

    database = Database(empty_url)
    assert schema.sync(database) is True
    assert Usage(database).all() == {"a": Used(images=1)}
    with database.exclusive() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, tables.metadata) == []
    database.close()


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
