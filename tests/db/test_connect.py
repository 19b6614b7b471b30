"""What sessions are set to, as the sockets and the servers see it."""

import os
import socket
from pathlib import Path

import pytest

from imageservice.db.engine import Database
from imageservice.db.options import Options
from tests import databases


@pytest.mark.parametrize(
    ("asked", "milliseconds"), [("", 30_000), ("tcp_user_timeout=7000", 7_000)]
)
def test_a_postgresql_that_falls_silent_is_given_up(
    tmp_path: Path, asked: str, milliseconds: int
) -> None:
    with databases.empty("postgresql", tmp_path) as url:
        database = Database(url, Options(connection_parameters=asked))
        with database.exclusive() as connection:
            number = os.dup(connection.connection.dbapi_connection.fileno())
            with socket.socket(fileno=number) as session:
                option = session.getsockopt
                waits = option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                asks_after = option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        database.close()

    assert (waits, asks_after) == (milliseconds, 10)
