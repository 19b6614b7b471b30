"""What the tests of the rbd store need."""

from typing import Any

from imageservice import errors
from imageservice.stores.rbd import bindings
from imageservice.stores.rbd.driver import Rbd
from tests.databases import missing
from tests.stores.ceph import Ceph

TIMEOUT_S = 5


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
        "rados_connect_timeout": TIMEOUT_S,
        **chosen,
    }


def pool(driver: Rbd) -> list[str]:
    """Names of the images in the driver's pool, and in its trash."""
    rbd = driver.cluster.rbd.RBD()
    ioctx = driver.cluster.session().pool
    return [*rbd.list(ioctx), *(entry["name"] for entry in rbd.trash_list(ioctx))]
