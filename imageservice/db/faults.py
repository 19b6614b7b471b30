"""What a database's errors mean to us: try again, not available, or a bug."""

import enum

from sqlalchemy import exc


class Fault(enum.Enum):
    """CONFLICT: the same transaction may succeed at once. UNAVAILABLE: it will not, soon."""

    CONFLICT = "conflict"
    UNAVAILABLE = "unavailable"
    OTHER = "other"


#: SQLSTATE: serialization_failure, deadlock_detected, lock_not_available.
_POSTGRESQL_CONFLICTS = frozenset({"40001", "40P01", "55P03"})
#: SQLSTATE classes: connection, authorization, resources, operator intervention,
#: system error; and transactions that only a writable server takes.
_POSTGRESQL_AWAY = ("08", "28", "53", "57", "58", "25006", "3D000")

#: Lock wait timeout, deadlock, record changed since last read (MariaDB 11).
_MYSQL_CONFLICTS = frozenset({1205, 1213, 1020})
#: Too many connections, disk full, shutdown, out of memory, read-only, access denied,
#: unknown database, killed, host blocked, statement timeout, not connected, lost;
#: 1047: a node of a Galera cluster that is not part of it at the moment.
_MYSQL_AWAY = frozenset(
    {
        1021, 1037, 1040, 1041, 1044, 1045, 1047, 1049, 1053, 1114, 1129, 1130, 1203, 1290,
        1317, 1792, 1836, 1927, 1969, 2002, 2003, 2006, 2013, 2014, 2055, 3024,
    }
)  # fmt: skip

#: Primary result codes: BUSY, LOCKED; then PERM, READONLY, INTERRUPT, IOERR, FULL,
#: CANTOPEN. Source: sqlite.org/rescode.html.
_SQLITE_CONFLICTS = frozenset({5, 6})
_SQLITE_AWAY = frozenset({3, 8, 9, 10, 13, 14})


def classify(error: exc.SQLAlchemyError) -> Fault:
    """Tell what to do about ``error``."""
    if isinstance(error, exc.TimeoutError):  # no connection of the pool came free
        return Fault.UNAVAILABLE
    if not isinstance(error, exc.DBAPIError):
        return Fault.OTHER
    origin = error.orig
    state = getattr(origin, "pgcode", None)
    if state is not None:
        return _from_sqlstate(state)
    code = getattr(origin, "sqlite_errorcode", None)
    if code is not None:
        return _from_codes(code & 0xFF, _SQLITE_CONFLICTS, _SQLITE_AWAY)
    number = origin.args[0] if origin is not None and origin.args else None
    if isinstance(number, int):
        fault = _from_codes(number, _MYSQL_CONFLICTS, _MYSQL_AWAY)
        if fault is not Fault.OTHER:
            return fault
    return Fault.UNAVAILABLE if error.connection_invalidated else Fault.OTHER


def _from_sqlstate(state: str) -> Fault:
    if state in _POSTGRESQL_CONFLICTS:
        return Fault.CONFLICT
    return Fault.UNAVAILABLE if state.startswith(_POSTGRESQL_AWAY) else Fault.OTHER


def _from_codes(code: int, conflicts: frozenset[int], away: frozenset[int]) -> Fault:
    if code in conflicts:
        return Fault.CONFLICT
    return Fault.UNAVAILABLE if code in away else Fault.OTHER
