"""Engines: how each kind of database is connected to and what its sessions are set to."""

import logging
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, exc, make_url

from imageservice import errors
from imageservice.db.options import Options

LOG = logging.getLogger(__name__)

DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg2",
    "postgres": "postgresql+psycopg2",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
EXTRAS = {"postgresql": "postgresql", "mysql": "mysql"}

CONNECT_TIMEOUT_S = 10
#: A server that has gone without a word (a failover, a cut cable) would otherwise be
#: waited for a quarter of an hour, two hours when nothing was sent.
SILENCE_S = 30
#: No transaction of ours holds a lock for longer than a few milliseconds.
LOCK_TIMEOUT_S = 10
#: SQLite waits inside a C call that lets no other greenlet run: keep it short, the
#: transaction is tried again.
SQLITE_BUSY_MS = 100


def writers(url: str, options: Options) -> Engine:
    """Make the engine for transactions (READ COMMITTED; on SQLite one at a time)."""
    target = _url(url, options)
    kind = target.get_backend_name()
    isolation = {} if kind == "sqlite" else {"isolation_level": "READ COMMITTED"}
    engine = _engine(target, options, **isolation)
    if kind == "sqlite":
        # The driver would begin late, and as a reader: two that both want to write
        # then wait for each other.
        event.listen(
            engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE") and None
        )
    return engine


def readers(url: str, options: Options) -> Engine:
    """Make the engine for single statements: no BEGIN, no ROLLBACK, no ping."""
    return _engine(
        _url(url, options),
        options,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,
    )


def _url(text: str, options: Options) -> URL:
    try:
        url = make_url(text)
        if options.connection_parameters:
            url = url.update_query_string(options.connection_parameters)
    except (exc.ArgumentError, ValueError) as error:
        # The text may hold a password: it is not repeated.
        reason = "[database] connection is not a URL such as postgresql://user:password@host/images"
        raise errors.Misconfigured(reason=reason) from error
    kind = url.get_backend_name()
    if kind not in DRIVERS:
        reason = f"[database] connection: {kind} is not supported, only sqlite, postgresql and mysql"
        raise errors.Misconfigured(reason=reason)
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        reason = "[database] connection: SQLite needs a file, sqlite:////path/to/file"
        raise errors.Misconfigured(reason=reason)
    return url.set(drivername=DRIVERS[kind])


# Any: keyword arguments of create_engine, which differ by database.
def _engine(url: URL, options: Options, **arguments: Any) -> Engine:
    kind = url.get_backend_name()
    try:
        engine = create_engine(
            url,
            echo=options.connection_debug >= 50,
            hide_parameters=options.connection_debug < 50,
            pool_size=options.max_pool_size,
            max_overflow=options.max_overflow,
            pool_timeout=options.pool_timeout or 30,
            pool_recycle=options.connection_recycle_time,
            connect_args=_arguments(url),
            **arguments,
        )
    except ImportError as error:
        reason = (
            f"[database] connection: {error}; install imageservice[{EXTRAS.get(kind)}]"
        )
        raise errors.Misconfigured(reason=reason) from error
    settings = _settings(kind, options)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        if kind == "sqlite":
            connection.isolation_level = None
        cursor = connection.cursor()
        try:
            for setting in settings:
                cursor.execute(setting)
        finally:
            cursor.close()
        if kind == "postgresql" and not connection.autocommit:
            connection.commit()

    return engine


def _arguments(url: URL) -> dict[str, Any]:
    kind = url.get_backend_name()
    if kind == "postgresql":
        patience = {
            "tcp_user_timeout": SILENCE_S * 1000,
            "keepalives_idle": SILENCE_S // 3,
            "keepalives_interval": SILENCE_S // 3,
            "keepalives_count": 2,
        }
        # These an operator may set in the URL.
        own = {name: value for name, value in patience.items() if name not in url.query}
        fixed = {"connect_timeout": CONNECT_TIMEOUT_S, "client_encoding": "UTF8"}
        return own | fixed
    if kind == "mysql":
        return {"connect_timeout": CONNECT_TIMEOUT_S, "charset": "utf8mb4"}
    return {}


def _settings(kind: str, options: Options) -> list[str]:
    """The statements that a new session begins with."""
    if kind == "postgresql":
        # Compiling a statement to machine code, or starting processes to share the
        # work, takes longer than any statement of ours runs.
        quick = "SET jit = off; SET max_parallel_workers_per_gather = 0"
        return [f"{quick}; SET lock_timeout = '{LOCK_TIMEOUT_S}s'"]
    if kind == "mysql":
        values = {
            "innodb_lock_wait_timeout": str(LOCK_TIMEOUT_S),
            # MariaDB cuts JSON_ARRAYAGG off at this many bytes, silently.
            "group_concat_max_len": str(2**30),
        }
        if options.mysql_sql_mode:
            values["sql_mode"] = "'" + options.mysql_sql_mode.replace("'", "''") + "'"
        if options.mysql_wsrep_sync_wait is not None:
            values["wsrep_sync_wait"] = str(options.mysql_wsrep_sync_wait)
        return ["SET SESSION " + ", ".join(f"{k} = {v}" for k, v in values.items())]
    return [
        f"PRAGMA busy_timeout = {SQLITE_BUSY_MS}",
        "PRAGMA journal_mode = WAL",
        # FULL: in WAL mode NORMAL would lose the last commits in a power failure, and
        # a 201 or 204 promises more than that.
        f"PRAGMA synchronous = {'FULL' if options.sqlite_synchronous else 'OFF'}",
        "PRAGMA foreign_keys = ON",
    ]
