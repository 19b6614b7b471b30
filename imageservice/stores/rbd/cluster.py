"""The connection to a cluster: one for each process, made on first use."""

import contextlib
import errno
import os
from _queue import Empty, SimpleQueue
from collections.abc import Iterator
from typing import Any, NamedTuple

from imageservice import errors
from imageservice.stores.rbd.bindings import Bindings

#: Errors after which nothing works over the same connection: it was shut down, or the
#: cluster has barred this client (EBLOCKLISTED is ESHUTDOWN). From all else, servers that
#: hang or restart included, librados recovers by itself.
LOST = frozenset({errno.ESHUTDOWN, errno.ENOTCONN})
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
DENIED = frozenset({errno.EPERM, errno.EACCES, errno.EROFS})

#: Options of Ceph's that hold for our connection, whatever ceph.conf says.
SETTINGS = {
    # Writes are pipelined here, so the cache would only be another copy, up to 24 MiB.
    "rbd_cache": "false",
    # ``part`` fills its buffer anew as soon as librbd has taken what is in it.
    "rbd_disable_zero_copy_writes": "true",
    # Images of other services have librbd's lock. To bar whoever left it is to end all
    # other transfers of that process; and a process never bars itself, so it would be
    # refused for as long as it lives.
    "rbd_blocklist_on_break_lock": "false",
}
NO_FSID = "00000000-0000-0000-0000-000000000000"
"""What Ceph says for an id that ceph.conf does not have."""

TIMEOUTS = ("client_mount_timeout", "rados_mon_op_timeout", "rados_osd_op_timeout")

_UNUSED: SimpleQueue["Connection"] = SimpleQueue()
"""Connections whose last use is over."""

_KEPT: list[object] = []
"""Connections of the process from which this one was forked: never ended, it uses them."""


class Address(NamedTuple):
    """Which cluster, as whom, which pool, and how long to wait for an answer."""

    conf: str
    user: str | None
    pool: str
    timeout_s: int


class Connection(NamedTuple):
    """A connection, its pool, and the process that made it."""

    rados: Any
    pool: Any
    pid: int

    def end(self) -> None:
        if self.pid == os.getpid():
            self.pool.close()
            self.rados.shutdown()
        else:
            _KEPT.append(self)


class Session:
    """What is needed to use a connection; whoever uses it holds on to this.

    ``pool`` fails on a full cluster instead of waiting. ``credentials`` tells the files
    that it was made with from what lies there later.
    """

    def __init__(self, connection: Connection, fsid: str, credentials: object) -> None:
        self._connection = connection
        self.rados = connection.rados
        self.pool = connection.pool
        self.pid = connection.pid
        self.fsid = fsid
        self.credentials = credentials

    def __del__(self) -> None:
        # Ending takes time, and this may be the thread that serves all requests.
        _UNUSED.put(self._connection)


class Failure(Exception):
    """A negative return value of a call that went on by itself."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(-number))
        self.errno = -number


class Mutex:
    """A lock of native threads; those of ``threading`` belong to greenlets in the daemon."""

    def __init__(self) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        self._free.put(None)

    @contextlib.contextmanager
    def held(self, timeout_s: float) -> Iterator[None]:
        """Raises TimeoutError."""
        try:
            self._free.get(timeout=timeout_s)
        except Empty:
            raise TimeoutError from None
        try:
            yield
        finally:
            self._free.put(None)


class Cluster:
    """All methods run in native threads."""

    def __init__(self, store: str, bindings: Bindings, address: Address) -> None:
        self.store = store
        self.address = address
        self.rbd = bindings.rbd
        self.rados = bindings.rados
        self._session: Session | None = None
        self._configured: str | None = None  # the id in ceph.conf
        self._mutex = Mutex()
        self._mutex_pid = os.getpid()

    @property
    def fsid(self) -> str | None:
        """The cluster's id, None before the first connection."""
        return self._session.fsid if self._session else None

    def identity(self) -> str:
        """The cluster's id; where ceph.conf has it nobody needs to be asked.

        Raises StoreUnavailable, StoreDenied.
        """
        if self._session is None and self._configured is None:
            with self.translated(), self._explaining_configuration():
                self._configured = self._handle().conf_get("fsid")
        if self._session is None and self._configured not in (None, "", NO_FSID):
            return self._configured
        return self.session().fsid

    def session(self) -> Session:
        """Return the connection, making it if need be. Raises StoreUnavailable, StoreDenied."""
        with contextlib.suppress(Empty):
            _UNUSED.get_nowait().end()
        session = self._session
        if session and session.pid == os.getpid():
            return session
        if self._mutex_pid != os.getpid():
            # Whoever held it at the fork is in the other process.
            self._mutex, self._mutex_pid = Mutex(), os.getpid()
        with self.translated(), self._mutex.held(2 * self.address.timeout_s):
            session = self._session
            if session is None or session.pid != os.getpid():
                session = self._session = self._connect()
            return session

    def _connect(self) -> Session:
        address = self.address
        with self._explaining_configuration():
            rados = self._connected()
        try:
            try:
                pool = rados.open_ioctx(address.pool)
            except self.rados.ObjectNotFound:
                reason = f"the cluster has no pool '{address.pool}'"
                raise self.unavailable(reason) from None
            pool.set_osdmap_full_try()
            connection = Connection(rados, pool, os.getpid())
            return Session(connection, rados.get_fsid(), _credentials(address, rados))
        except BaseException:
            rados.shutdown()
            raise

    def _handle(self) -> Any:
        """What is read from ceph.conf, not connected yet."""
        address = self.address
        # An empty name makes librados look in its usual places.
        return self.rados.Rados(conffile=address.conf, rados_id=address.user)

    def _connected(self) -> Any:
        rados = self._handle()
        seconds = str(self.address.timeout_s)
        for option, value in {**SETTINGS, **dict.fromkeys(TIMEOUTS, seconds)}.items():
            rados.conf_set(option, value)
        rados.connect()
        return rados

    @contextlib.contextmanager
    def _explaining_configuration(self) -> Iterator[None]:
        try:
            yield
        except self.rados.ObjectNotFound as error:
            reason = "no ceph.conf or no keyring was found; see the log"
            raise self.unavailable(reason) from error

    def forget(self) -> None:
        """Make a new connection for the next call; who still uses the old one may go on."""
        self._session = None

    def _has_new_credentials(self) -> bool:
        session = self._session
        return bool(
            session and session.credentials != _credentials(self.address, session.rados)
        )

    @contextlib.contextmanager
    def translated(self, key: str = "") -> Iterator[None]:
        """Turn errors of the libraries into ours."""
        try:
            yield
        except self.rbd.ImageNotFound as error:
            raise errors.KeyNotFound(store=self.store, key=key) from error
        except self.rbd.ImageExists as error:
            raise errors.KeyExists(store=self.store, key=key) from error
        except (TimeoutError, self.rbd.Error, self.rados.Error, Failure) as error:
            raise self.explained(error) from error

    def unavailable(self, reason: str) -> errors.StoreUnavailable:
        return errors.StoreUnavailable(store=self.store, reason=reason)

    def explained(self, error: Exception) -> errors.Error:
        """What an error of the libraries means. Raise it from that, for the log.

        Nothing is logged here: in the daemon the locks of ``logging`` belong to greenlets.
        """
        number = abs(getattr(error, "errno", 0) or 0)
        if isinstance(error, TimeoutError):
            number = errno.ETIMEDOUT
        # With a key that is no longer valid nothing new can be reached: no answer comes.
        suspect = number in DENIED or number == errno.ETIMEDOUT
        if number in LOST or (suspect and self._has_new_credentials()):
            self.forget()
        if number in FULL:
            return errors.StoreFull(
                store=self.store, reason="the cluster or pool is full"
            )
        if number in DENIED:
            reason = "Ceph refuses its user; see the log"
            return errors.StoreDenied(store=self.store, reason=reason)
        if number == errno.ETIMEDOUT:
            return self.unavailable(
                f"Ceph does not answer within {self.address.timeout_s} s"
            )
        return self.unavailable("Ceph reports an error; see the log")


def _credentials(address: Address, rados: Any) -> object:
    """What tells configuration and keyring from what they are after a change."""
    found = []
    for name in (address.conf, *rados.conf_get("keyring").split(",")):
        with contextlib.suppress(OSError):
            status = os.stat(name.strip())
            found.append((name, status.st_mtime_ns, status.st_ino))
    return found
