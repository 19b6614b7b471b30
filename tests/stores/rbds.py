"""What the tests of the rbd store need."""

import contextlib
import time
import uuid
from collections.abc import Callable
from typing import Any

from imageservice import errors
from imageservice.stores.rbd import bindings
from imageservice.stores.rbd.driver import Rbd
from imageservice.stores.testing import Threads
from tests.daemon import Daemon
from tests.databases import missing
from tests.stores.backends import TIMEOUT_S, Server
from tests.stores.ceph import Ceph

CALM_S = 60
"""Of Ceph's answers, where it is well; a busy machine takes its time."""

PATIENCE_S = 180


def defaults() -> dict[str, Any]:
    return {opt.dest: opt.default for opt in Rbd.OPTS}


def options(ceph: Ceph, **chosen: Any) -> dict[str, Any]:
    """Options of a store on ``ceph``. Skips where Ceph's modules do not fit this Python."""
    try:
        bindings.load("test")
    except errors.Misconfigured as error:
        missing(str(error))
    return {
        **defaults(),
        "rbd_store_ceph_conf": str(ceph.conf),
        "rbd_store_user": ceph.user,
        "rbd_store_pool": ceph.pool,
        "rados_connect_timeout": CALM_S,
        **chosen,
    }


def pool(driver: Rbd) -> list[str]:
    """Names of the images in the driver's pool, and in its trash."""
    rbd = driver.cluster.rbd.RBD()
    ioctx = driver.cluster.session().pool
    return [*rbd.list(ioctx), *(entry["name"] for entry in rbd.trash_list(ioctx))]


def discarded(driver: Rbd) -> bool:
    """Discard ``key``, if that can be done by now."""
    with contextlib.suppress(errors.StoreUnavailable):
        driver.discard("key")
        return True
    return False


class Blocks(Server):
    """The pool of Ceph, as a user of its own."""

    kind = "rbd"

    def __init__(self, ceph: Ceph) -> None:
        self._ceph = ceph
        self._user = f"daemon-{uuid.uuid4().hex[:8]}"
        conf = ceph.new_user(self._user)
        chosen = options(
            ceph,
            rbd_store_user=self._user,
            rbd_store_ceph_conf=conf,
            rados_connect_timeout=TIMEOUT_S,
        )
        self.options = {k: value for k, value in chosen.items() if value is not None}
        # Of the cluster's own, as the test must see what the user no longer may.
        self._driver = Rbd.configured("rbd", options(ceph), Threads())

    def left(self, daemon: Daemon) -> list[str]:
        return pool(self._driver)

    def full(self) -> contextlib.AbstractContextManager[None]:
        return self._ceph.full()

    def frozen(self) -> contextlib.AbstractContextManager[None]:
        return self._ceph.frozen("osd.0")

    def restart(self) -> None:
        self._ceph.restart("osd.0")

    def rotate(self) -> None:
        self._ceph.new_user(self._user)


def until(is_so: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
