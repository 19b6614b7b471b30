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

_KEPT: list[object] = []
"""Connections that are never ended: after a fork that would disturb the parent, and after
trouble the thread, perhaps the one that serves all requests, that drops the last use."""


class Address(NamedTuple):
    """Which cluster, as whom, which pool, and how long to wait for an answer."""

    conf: str
    user: str | None
    pool: str
    timeout_s: int


class Session(NamedTuple):
    """A connection, and its pool, which fails on a full cluster instead of waiting."""

    rados: Any
    pool: Any
    fsid: str
    pid: int


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
        self._mutex = Mutex()
        self._mutex_pid = os.getpid()

    @property
    def fsid(self) -> str | None:
        """The cluster's id, None before the first connection."""
        return self._session.fsid if self._session else None

    def session(self) -> Session:
        """Return the connection, making it if need be. Raises StoreUnavailable, StoreDenied."""
        session = self._session
        if session and session.pid == os.getpid():
            return session
        if self._mutex_pid != os.getpid():
            # Whoever held it at the fork is in the other process.
            self._mutex, self._mutex_pid = Mutex(), os.getpid()
        with self.translated(), self._mutex.held(2 * self.address.timeout_s):
            session = self._session
            if session and session.pid != os.getpid():
                _KEPT.append(session)
                session = None
            if session is None:
                session = self._session = self._connect()
            return session

    def _connect(self) -> Session:
        address = self.address
        try:
            rados = self._connected(address)
        except self.rados.ObjectNotFound as error:
            reason = "no ceph.conf or no keyring was found; see the log"
            raise self.unavailable(reason) from error
        try:
            try:
                pool = rados.open_ioctx(address.pool)
            except self.rados.ObjectNotFound:
                reason = f"the cluster has no pool '{address.pool}'"
                raise self.unavailable(reason) from None
            pool.set_osdmap_full_try()
            return Session(rados, pool, rados.get_fsid(), os.getpid())
        except BaseException:
            rados.shutdown()
            raise

    def _connected(self, address: Address) -> Any:
        # An empty name makes librados look in its usual places.
        rados = self.rados.Rados(conffile=address.conf, rados_id=address.user)
        seconds = str(address.timeout_s)
        for option in (
            "client_mount_timeout", "rados_mon_op_timeout", "rados_osd_op_timeout"
        ):  # fmt: skip
            rados.conf_set(option, seconds)
        rados.connect()
        return rados

    def forget(self) -> None:
        """Make a new connection for the next call; who still uses the old one may go on."""
        _KEPT.append(self._session)
        self._session = None

    @contextlib.contextmanager
    def translated(self, key: str = "") -> Iterator[None]:
        """Turn errors of the libraries into ours."""
        try:
            yield
        except self.rbd.ImageNotFound as error:
            raise errors.KeyNotFound(store=self.store, key=key) from error
        except self.rbd.ImageExists as error:
            raise errors.KeyExists(store=self.store, key=key) from error
        except TimeoutError as error:
            raise self.unavailable("no answer in time") from error
        except (self.rbd.Error, self.rados.Error, Failure) as error:
            raise self.explained(error) from error

    def unavailable(self, reason: str) -> errors.StoreUnavailable:
        return errors.StoreUnavailable(store=self.store, reason=reason)

    def explained(self, error: Exception) -> errors.Error:
        """What an error of the libraries means. Raise it from that, for the log.

        Nothing is logged here: in the daemon the locks of ``logging`` belong to greenlets.
        """
        number = abs(getattr(error, "errno", 0) or 0)
        if number in LOST:
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
