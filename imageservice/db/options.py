"""The section ``[database]``: names as operators know them."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from oslo_config import cfg

GROUP = "database"

OPTS = [
    cfg.StrOpt(
        "connection",
        secret=True,
        help="URL of the database, such as postgresql://user:password@host/images, "
        "mysql://user:password@host/images or sqlite:////var/lib/images.db. "
        "Without it SQLite is used, in the data folder.",
    ),
    cfg.StrOpt(
        "slave_connection",
        secret=True,
        help="URL of a read replica. Lists are read from it and may show what was true "
        "a moment ago.",
    ),
    cfg.IntOpt(
        "max_pool_size",
        default=5,
        min=1,
        help="Connections that each worker keeps open, for reading and again for "
        "writing.",
    ),
    cfg.IntOpt(
        "max_overflow",
        default=50,
        min=0,
        help="Connections that a worker may open beyond max_pool_size while it is busy. "
        "The server must allow workers * 2 * (max_pool_size + max_overflow).",
    ),
    cfg.IntOpt(
        "pool_timeout",
        min=1,
        help="Seconds that a request waits for a connection before it is answered 503. "
        "Default: 30.",
    ),
    cfg.IntOpt(
        "connection_recycle_time",
        default=3600,
        min=-1,
        help="Seconds after which a connection is replaced. Keep it below the idle "
        "time-outs of the server and of firewalls. -1: never.",
    ),
    cfg.IntOpt(
        "max_retries",
        default=10,
        min=-1,
        help="How often the start tries to reach the database. -1: for ever.",
    ),
    cfg.IntOpt(
        "retry_interval",
        default=10,
        min=0,
        help="Seconds between two tries to reach the database at the start.",
    ),
    cfg.IntOpt(
        "db_max_retries",
        default=20,
        min=0,
        help="How often a transaction is run again after a deadlock or a lock that did "
        "not come free. 0 answers 503 at the first.",
    ),
    cfg.FloatOpt(
        "db_retry_interval",
        default=0.01,
        min=0,
        help="Seconds before a transaction is run again; a random part of up to half is "
        "taken off, so that two do not meet again.",
    ),
    cfg.BoolOpt(
        "db_inc_retry_interval",
        default=True,
        help="Double db_retry_interval with each attempt.",
    ),
    cfg.FloatOpt(
        "db_max_retry_interval",
        default=1.0,
        min=0,
        help="Seconds that db_retry_interval grows to.",
    ),
    cfg.StrOpt(
        "mysql_sql_mode",
        default="TRADITIONAL",
        help="SQL mode of MySQL and MariaDB sessions; empty leaves the server's own.",
    ),
    cfg.IntOpt(
        "mysql_wsrep_sync_wait",
        min=0,
        max=15,
        help="Galera clusters: wsrep_sync_wait of each session. 1 makes reads wait for "
        "the writes of other nodes.",
    ),
    cfg.BoolOpt(
        "sqlite_synchronous",
        default=True,
        help="SQLite: wait for the disk at each commit. Without it a power failure may "
        "damage the file.",
    ),
    cfg.IntOpt(
        "connection_debug",
        default=0,
        min=0,
        max=100,
        help="50 or more logs every SQL statement, with the values of users.",
    ),
    cfg.StrOpt(
        "connection_parameters",
        default="",
        help="Added to the query part of the URLs: param1=value1&param2=value2.",
    ),
]


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """The values of OPTS, without the connection itself."""

    slave_connection: str | None = None
    max_pool_size: int = 5
    max_overflow: int = 50
    pool_timeout: int | None = None
    connection_recycle_time: int = 3600
    max_retries: int = 10
    retry_interval: int = 10
    db_max_retries: int = 20
    db_retry_interval: float = 0.01
    db_inc_retry_interval: bool = True
    db_max_retry_interval: float = 1.0
    mysql_sql_mode: str = "TRADITIONAL"
    mysql_wsrep_sync_wait: int | None = None
    sqlite_synchronous: bool = True
    connection_debug: int = 0
    connection_parameters: str = ""

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Self:
        """Take the values from the section ``[database]`` of a configuration."""
        return cls(
            **{name.name: section[name.name] for name in dataclasses.fields(cls)}
        )
