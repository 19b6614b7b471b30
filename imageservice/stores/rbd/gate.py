"""A lock in the pool for the short steps in which a name is taken or taken away.

librbd's rename alone does not do: of several renames to one name at the same time more
than one reports success, and then one image bears the name and another the data.
"""

import contextlib
import secrets
import time
import zlib
from _queue import Empty, SimpleQueue
from collections.abc import Iterator

from imageservice.stores.rbd.cluster import Cluster, Session

OBJECT = "imageservice.gates"

GATES = 256
"""Locks of that object. Keys that share one wait a few milliseconds for each other."""

RETRY_S = 0.05


@contextlib.contextmanager
def passed(cluster: Cluster, session: Session, key: str) -> Iterator[None]:
    """Hold the lock of ``key``; runs in a native thread. Raises TimeoutError.

    The lock of a process that died holding it ends by itself, after so long that any
    step of one that lives has timed out.
    """
    name = f"gate{zlib.crc32(key.encode()) % GATES}"
    cookie = secrets.token_hex(8)
    timeout_s = cluster.address.timeout_s
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            session.pool.lock_exclusive(OBJECT, name, cookie, duration=4 * timeout_s)
            break
        except cluster.rados.ObjectBusy:
            if time.monotonic() > deadline:
                raise TimeoutError from None
            _pause()
    try:
        yield
    finally:
        # If that fails it ends by itself.
        with contextlib.suppress(cluster.rados.Error):
            session.pool.unlock(OBJECT, name, cookie)


def _pause() -> None:
    """As ``time.sleep``, which in the daemon belongs to greenlets."""
    with contextlib.suppress(Empty):
        SimpleQueue[None]().get(timeout=RETRY_S)
