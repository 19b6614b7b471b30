"""Column types that mean the same on SQLite, PostgreSQL, MariaDB and MySQL.

Text is compared and sorted byte by byte everywhere: case, accents and trailing spaces
count, and the order of a page does not depend on how the database was created.
"""

from typing import Any

from sqlalchemy import DateTime, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import TypeCompiler

#: Bytes are compared, and a trailing space counts ("no pad").
MARIADB_COLLATION = "utf8mb4_nopad_bin"
MYSQL_COLLATION = "utf8mb4_0900_bin"


class Key(String):
    """Short text that is compared: ``length`` in characters, at most 255."""

    cache_ok = True


class Prose(Text):
    """Long text; at least 16 MiB on every database."""

    cache_ok = True


def _binary(compiler: TypeCompiler) -> str:
    # is_mariadb is known to the dialect once it has met the server.
    is_mariadb = getattr(compiler.dialect, "is_mariadb", False)
    collation = MARIADB_COLLATION if is_mariadb else MYSQL_COLLATION
    return f"CHARACTER SET utf8mb4 COLLATE {collation}"


@compiles(Key, "postgresql")
def _key_on_postgresql(type_: Key, compiler: TypeCompiler, **kw: Any) -> str:
    return f'VARCHAR({type_.length}) COLLATE "C"'


@compiles(Key, "mysql")
def _key_on_mysql(type_: Key, compiler: TypeCompiler, **kw: Any) -> str:
    return f"VARCHAR({type_.length}) {_binary(compiler)}"


@compiles(Prose, "postgresql")
def _prose_on_postgresql(type_: Prose, compiler: TypeCompiler, **kw: Any) -> str:
    return 'TEXT COLLATE "C"'


@compiles(Prose, "mysql")
def _prose_on_mysql(type_: Prose, compiler: TypeCompiler, **kw: Any) -> str:
    return f"MEDIUMTEXT {_binary(compiler)}"


#: UTC without zone, with microseconds.
Moment = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
