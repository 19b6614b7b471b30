"""What the errors of databases mean, where a test has no server to make them."""

import pymysql
from sqlalchemy import exc

from imageservice.db.faults import Fault, classify


def test_a_node_that_has_left_its_galera_cluster_is_not_available() -> None:
    said = "WSREP has not yet prepared node for application use"
    error = pymysql.err.OperationalError(1047, said)

    assert classify(exc.OperationalError("", {}, error)) is Fault.UNAVAILABLE
