"""Connections: single statements that read, and transactions that write."""

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, Row, Select, exc, literal, select

from imageservice import errors
from imageservice.db import connect
from imageservice.db.faults import Fault, classify
from imageservice.db.options import Options

LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Database:
    """One database, used by all threads or greenlets of one process.

    Nothing is connected before the first use. A process that forks calls ``close``
    before, or makes its ``Database`` in the child: connections cannot be shared.
    """

    def __init__(
        self,
        url: str,
        options: Options | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.options = options or Options()
        self._sleep = sleep
        self._random = random.SystemRandom()
        self._writers = connect.writers(url, self.options)
        self._readers = connect.readers(url, self.options)
        replica = self.options.slave_connection
        self._replicas = (
            connect.readers(replica, self.options) if replica else self._readers
        )
        self.url = self._writers.url
        self.dialect = self._writers.dialect.name
        # SQLite takes one writer at a time and makes the others wait inside a C call.
        # Were a greenlet to yield within its transaction, the next one would wait there
        # for ever, and hold up the whole process; so they queue here instead.
        self._turn: contextlib.AbstractContextManager[Any] = (
            threading.Lock() if self.dialect == "sqlite" else contextlib.nullcontext()
        )

    def close(self) -> None:
        """Close what is idle; the next use connects again."""
        for engine in {self._writers, self._readers, self._replicas}:
            engine.dispose()

    def trace(self, add: Callable[[Any, Engine], None]) -> None:
        """Let ``add`` listen to all that is asked; it gets SQLAlchemy and each engine."""
        for engine in {self._writers, self._readers, self._replicas}:
            add(sqlalchemy, engine)

    def wait(self) -> None:
        """Return when the database answers; ``max_retries`` says how often to ask.

        Raises Unavailable. Meant for the start: a database may come up after us (but no
        file becomes readable by itself, so SQLite is asked once, and again while
        somebody else has it locked).
        """
        options = self.options
        attempt = 0
        while True:
            attempt += 1
            try:
                with self._connected(self._writers):
                    return
            except exc.SQLAlchemyError as error:
                self._pause(error, attempt)
                continue
            except errors.Unavailable:
                is_over = 0 <= options.max_retries < attempt
                if is_over or self.dialect == "sqlite":
                    raise
            LOG.warning("trying again in %d s", options.retry_interval)
            self._sleep(options.retry_interval)

    def check(self) -> None:
        """Raise Unavailable unless the database answers now."""
        self.read(select(literal(1)))

    def read(
        self,
        statement: Select[Any],
        values: Mapping[str, Any] | None = None,
        *,
        replica: bool = False,
    ) -> Sequence[Row[Any]]:
        """Return all rows of one statement: one round trip, one snapshot.

        ``replica`` permits the answer to come from ``slave_connection``, which may lag.
        Raises Unavailable.
        """
        engine = self._replicas if replica else self._readers
        attempt = 0
        while True:
            attempt += 1
            try:
                with self._connected(engine) as connection:
                    return connection.execute(statement, values).all()
            except exc.SQLAlchemyError as error:
                # A connection that died while it lay idle says so at its next use, and
                # its pool has been emptied by then: a second try gets a new one.
                if not _is_stale(error, attempt):
                    self._pause(error, attempt)

    def write(self, transaction: Callable[[Connection], T]) -> T:
        """Run ``transaction`` and commit; run it again when it met another one.

        It is run from its start each time, so it must change nothing but rows. What it
        raises rolls everything back. Raises Unavailable when the database does not
        answer or every attempt met a conflict.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                with self._turn, self._connected(self._writers) as connection:
                    result = transaction(connection)
                    self._commit(connection)
                    return result
            except exc.SQLAlchemyError as error:
                if not _is_stale(error, attempt):
                    self._pause(error, attempt)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """Lend a connection for writing; the block commits by itself. For migrations.

        Raises Unavailable, also when somebody else keeps it locked for too long.
        """
        try:
            with self._turn, self._connected(self._writers) as connection:
                yield connection
        except exc.SQLAlchemyError as error:
            if classify(error) is Fault.OTHER:
                raise
            _unavailable(error)

    @contextlib.contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        try:
            connection = engine.connect()
        except (exc.OperationalError, exc.TimeoutError) as error:
            if classify(error) is Fault.CONFLICT:
                raise
            _unavailable(error)
        with connection:
            yield connection

    def _commit(self, connection: Connection) -> None:
        try:
            connection.commit()
        except exc.DBAPIError as error:
            if error.connection_invalidated:
                # Nobody knows whether it was committed: running it again could do
                # twice what was to be done once.
                _unavailable(error)
            raise

    def _pause(self, error: exc.SQLAlchemyError, attempt: int) -> None:
        """Wait before the next attempt, or raise when there is to be none."""
        fault = classify(error)
        if fault is Fault.OTHER:
            raise error
        if fault is Fault.UNAVAILABLE or attempt > self.options.db_max_retries:
            _unavailable(error)
        options = self.options
        pause = options.db_retry_interval
        if options.db_inc_retry_interval:
            pause *= 2 ** (attempt - 1)
        pause = min(pause, options.db_max_retry_interval)
        LOG.info("transaction met another one, attempt %d: %s", attempt, _said(error))
        self._sleep(pause * self._random.uniform(0.5, 1.0))


def _is_stale(error: exc.SQLAlchemyError, attempt: int) -> bool:
    if not (isinstance(error, exc.DBAPIError) and error.connection_invalidated):
        return False
    if attempt > 1:
        return False
    LOG.warning("lost the connection to the database: %s", _said(error))
    return True


def _unavailable(error: exc.SQLAlchemyError) -> NoReturn:
    LOG.error("the database does not answer: %s", _said(error))
    reason = "The database is not available now. Try again later."
    raise errors.Unavailable(reason=reason) from error


def _said(error: exc.SQLAlchemyError) -> str:
    """The driver's own words: without the statement, which holds users' values."""
    return str(error.orig if isinstance(error, exc.DBAPIError) else error).strip()
