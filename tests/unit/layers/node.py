"""A worker process without a server: rings over real rows and a folder."""

import datetime

from imageservice import errors
from imageservice.context import Context
from imageservice.data import inspect
from imageservice.data.signature import Rules, Signatures
from imageservice.db import images as image_rows
from imageservice.db import leases as lease_rows
from imageservice.db.copies import Copies
from imageservice.db.inventory import Inventory
from imageservice.db.locations import Locations
from imageservice.domain.query import Viewer
from imageservice.layers import location, quota
from imageservice.layers.base import stack
from imageservice.limits.allowances import Same
from imageservice.services.images import Images
from imageservice.services.leases import Leases
from imageservice.stores.filesystem import File
from imageservice.tasks.housekeeping import Housekeeping
from imageservice.wsgi import threads
from tests.signing import Kept

NOW = datetime.datetime(2026, 1, 1)
CTX = Context(project_id="p", roles=("admin",), is_admin=True)


class Body:
    """The bytes of an upload; ``before`` is called before they are read."""

    def __init__(self, data=b"data", before=lambda: None):
        self._data = data
        self._before = before

    def read(self, size=-1, /):
        before, self._before = self._before, lambda: None
        before()
        block, self._data = self._data, b""
        return block


class Rows(image_rows.Images):
    """Rows of a database that does not answer to what is in ``away``."""

    away = frozenset()

    def _reach(self, what):
        if what in self.away:
            raise errors.Unavailable(reason="away")

    def bury(self, *args):
        self._reach("bury")
        return super().bury(*args)

    def spare(self, *args):
        self._reach("spare")
        return super().spare(*args)

    def release(self, *args, **kwargs):
        if "release" in self.away:
            raise RuntimeError("nobody has thought of this one")
        return super().release(*args, **kwargs)


class Clinging(File):
    """A store that does not let go while ``clings`` is set."""

    clings = False

    def delete(self, url):
        if self.clings:
            raise errors.KeyInUse(store=self.name, key=url, reason="a clone")
        super().delete(url)


class Leaving(Clinging):
    """A store that cannot clean up after a write that failed."""

    def write(self, key, data, size):
        super().write(key, data, size)
        raise errors.RemainsLeft(store=self.name, reason="the disk refuses")


class Node:
    """One worker process."""

    def __init__(self, database, stores):
        self.database = database
        self.rows = Rows(database)
        self.lease_rows = lease_rows.Leases(database)
        self.leases = Leases(self.lease_rows)
        copies = Copies(database)
        self.services = Images(self.rows, copies, Locations(database), self.leases)
        self.certificates = Kept()
        digests = location.Digests(
            "sha512", inspect.Rules(), Signatures(self.certificates, Rules())
        )
        self.images = stack(
            quota.Images(quota.Limits(), Same()),
            location.Images(stores, threads.Workers(), digests),
            self.services,
        )
        self.housekeeping = Housekeeping(
            self.rows, copies, Inventory(database), self.lease_rows, self.leases,
            stores, lambda lease: None,
        )  # fmt: skip

    def status(self, image):
        found = self.rows.show(image.id, Viewer("p", True))
        return found and found.status


def uploaded(node, image):
    node.images.upload(CTX, image, Body(), 4, None)
    return node.services.find(CTX, image.id)
