"""The rbd store: finished data is the snapshot ``snap`` of the image ``<pool>/<key>``.

A write goes to an image of another name, which is renamed at the end, with its snapshot
made and protected. So nothing half-written is ever seen, two writers of a key cannot both
win, and to rename what is being written is to stop whoever writes it
(docs/adr/0018-rbd.md).
"""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

from oslo_config import cfg

from imageservice import errors
from imageservice.stores.driver import (
    BLOCK,
    Capability,
    Driver,
    Listed,
    Reader,
    Workers,
    Written,
)
from imageservice.stores.patience import Patience
from imageservice.stores.rbd import bindings, contents, gate, names, removal
from imageservice.stores.rbd.cluster import Address, Cluster
from imageservice.stores.rbd.part import Part
from imageservice.stores.rbd.pieces import Pieces

LOG = logging.getLogger(__name__)

T = TypeVar("T")

TIMEOUT_S = 30

REMOVAL_S = 3600
"""Until a removal is given up, each step of which is bounded by the timeout anyway."""

MAY_HANG = 256
"""Native calls at the same time; as many uploads and downloads can make progress."""


class Rbd(Driver):
    """Images in one pool of a Ceph cluster."""

    kind = "rbd"
    OPTS: Sequence[cfg.Opt] = (
        cfg.StrOpt(
            "rbd_store_pool",
            default="images",
            help="Pool for the images. It has to exist; give each store its own.",
        ),
        cfg.StrOpt(
            "rbd_store_user",
            help="Ceph user, without 'client.', for example glance. It needs the "
            "capabilities mon 'profile rbd' and osd 'profile rbd pool=<pool>'. If unset "
            "Ceph's library decides, as a rule for admin.",
        ),
        cfg.StrOpt(
            "rbd_store_ceph_conf",
            default="",
            help="Ceph's configuration file, which also says where the keyring is. If "
            "empty Ceph's library looks in its usual places, first /etc/ceph/ceph.conf.",
        ),
        cfg.IntOpt(
            "rbd_store_chunk_size",
            default=8,
            min=1,
            max=32,
            help="MiB of an object of new images, a power of two. Larger objects are "
            "fewer to keep account of, smaller ones spread small images over more disks.",
        ),
        cfg.IntOpt(
            "rados_connect_timeout",
            default=-1,
            help="Seconds to wait for the cluster, when connecting and for each operation "
            "afterwards. 0 and less mean 30: nothing waits for ever. Less than 10 makes "
            "uploads fail while the cluster recovers from a lost disk.",
        ),
        cfg.BoolOpt(
            "rbd_thin_provisioning",
            default=False,
            help="Leave out runs of zeros of 64 KiB, so that they take no room.",
        ),
    )
    capabilities = (
        Capability.READ
        | Capability.RANGE
        | Capability.WRITE
        | Capability.DELETE
        | Capability.SIZE
        | Capability.THIN
        | Capability.LIST
    )

    def __init__(
        self, name: str, workers: Workers, cluster: Cluster, chunk: int, *, thin: bool
    ) -> None:
        super().__init__(name, workers)
        self.cluster = cluster
        self._chunk = chunk  # bytes
        self._thin = thin
        self._parts: set[str] = set()  # names of the images that this process writes
        # Each native call waits for several answers of the cluster.
        timeout = 6 * cluster.address.timeout_s
        self._patience = Patience(name, workers, timeout, MAY_HANG)
        self._removals = Patience(name, workers, max(timeout, REMOVAL_S), MAY_HANG)

    @classmethod
    def configured(
        cls, name: str, options: Mapping[str, Any], workers: Workers
    ) -> Self:
        chunk = options["rbd_store_chunk_size"]
        if chunk & (chunk - 1):
            reason = (
                f"store '{name}': rbd_store_chunk_size {chunk} is not a power of two"
            )
            raise errors.Misconfigured(reason=reason)
        timeout = options["rados_connect_timeout"]
        address = Address(
            conf=options["rbd_store_ceph_conf"] or "",
            user=options["rbd_store_user"],
            pool=options["rbd_store_pool"],
            timeout_s=timeout if timeout > 0 else TIMEOUT_S,
        )
        cluster = Cluster(name, bindings.load(name), address)
        thin = options["rbd_thin_provisioning"]
        return cls(name, workers, cluster, chunk * BLOCK, thin=thin)

    def claims(self) -> list[str]:
        address = self.cluster.address
        return [f"pool {address.pool} of {address.conf or 'the default ceph.conf'}"]

    def check(self) -> None:
        self._call(self._check)

    def _check(self) -> None:
        session = self.cluster.session()
        with (
            self.cluster.translated(),
            contextlib.suppress(self.cluster.rbd.ImageNotFound),
        ):
            # An answer of the pool's disks, not only of the monitors.
            self.cluster.rbd.Image(session.pool, ".check", read_only=True).close()

    def properties(self) -> dict[str, Any]:
        return {
            "chunk_size": self._chunk,
            "pool": self.cluster.address.pool,
            "thin_provisioning": self._thin,
            "fsid": self.cluster.fsid,
        }

    def _call(self, function: Callable[..., T], *args: Any) -> T:
        return self._logged(self._patience, functools.partial(function, *args))

    def _logged(self, patience: Patience, function: Callable[[], T]) -> T:
        """Log what Ceph says: operators need it, and users must not see it."""
        try:
            return patience.call(function)
        except errors.Unavailable as error:
            if error.__cause__:
                # The words only: the errors themselves hold on to the connection.
                LOG.error(
                    "store %s: %s: %s", self.name, str(error), str(error.__cause__)
                )
            raise

    # --- writing ---

    def write(self, key: str, data: Reader, size: int | None) -> Written:
        names.plain(self.name, key)
        part = Part(self.cluster, key, self._chunk, thin=self._thin)
        self._parts.add(part.name)
        try:
            self._call(part.open, size)
            while block := data.read(part.wanted):
                if part.fill(block):
                    self._call(part.send)
            fsid = self._call(part.publish)
        except BaseException:
            self._abandon(part)
            raise
        finally:
            self._parts.discard(part.name)
        url = names.url(fsid, self.cluster.address.pool, key)
        return Written(url, part.size, {})

    def _abandon(self, part: Part) -> None:
        trouble: BaseException | None = None
        try:
            self._logged(self._removals, part.abandon)
        except BaseException as error:
            # Also what ends a greenlet: the removal has not ended then.
            trouble = error
        if trouble or part.unsure:
            LOG.error(
                "store %s: image %s is left for now: %s", self.name, part.name, trouble
            )
            reason = "what was written could not be removed yet"
            raise errors.RemainsLeft(store=self.name, reason=reason) from trouble

    # --- reading ---

    def read(self, url: str, offset: int = 0, length: int | None = None) -> Pieces:
        pieces, _ = self._open(url, offset, length)
        return pieces

    def size(self, url: str) -> int:
        pieces, size = self._open(url, 0, 0)
        pieces.close()
        return size

    def _open(self, url: str, offset: int, length: int | None) -> tuple[Pieces, int]:
        location = names.parse(self.name, url)
        pieces = Pieces(self.cluster, self._call, location)

        def opened() -> int:
            self._own(location, self.cluster.session().fsid)
            return pieces.open(offset, length)

        return pieces, self._call(opened)

    def check_url(self, url: str) -> None:
        self._own(names.parse(self.name, url))

    def _own(self, location: names.Location, fsid: str | None = None) -> None:
        """Raises LocationInvalid for another pool or, if our cluster is known, another one."""
        pool = self.cluster.address.pool
        if location.pool not in (None, pool) or (
            fsid and location.fsid not in (None, fsid)
        ):
            raise errors.LocationInvalid(store=self.name)

    def listing(self) -> Iterator[Listed]:
        now, every = self._call(contents.names_and_time, self.cluster)
        for name in every:
            found = self._call(contents.look, self.cluster, name, now)
            if found:
                yield found

    def canonical(self, url: str) -> str:
        location = names.parse(self.name, url)
        self._own(location)  # another pool is known without asking anybody
        return self._call(self._canonical, location)

    def _canonical(self, location: names.Location) -> str:
        fsid = self.cluster.identity()
        self._own(location, fsid)
        return names.url(fsid, self.cluster.address.pool, location.image)

    # --- removing ---

    def delete(self, url: str) -> None:
        location = names.parse(self.name, url)

        def remove() -> None:
            self._own(location, self.cluster.session().fsid)
            removal.remove(self.cluster, location.image, location.image)

        self._logged(self._removals, remove)

    def discard(self, key: str) -> None:
        names.plain(self.name, key)
        self._logged(self._removals, functools.partial(self._discard, key))

    def _discard(self, key: str) -> None:
        """Parts first: a writer then fails, or has published what goes next."""
        cluster = self.cluster
        session = cluster.session()
        with cluster.translated(key), gate.passed(cluster, session, key):
            there = removal.names_in(cluster, session)
            gone = [
                removal.fence(cluster, session, name)
                for name in there
                if names.is_part_of(name, key)
            ]
        for name in gone:
            self._clear(name, key)
        with contextlib.suppress(errors.KeyNotFound):
            removal.remove(cluster, key, key)
        # Whose writer should have removed them, but died after it was fenced off.
        for name in there:
            if names.is_fenced(name) and name not in gone:
                with contextlib.suppress(errors.Error):
                    removal.destroy(cluster, name, name)

    def _clear(self, name: str, key: str) -> None:
        """Remove a fenced part; one that this process still writes is its writer's to remove."""
        try:
            removal.destroy(self.cluster, name, key)
        except errors.KeyNotFound:
            pass
        except errors.KeyInUse as error:
            if name.removesuffix(names.fenced("")) not in self._parts:
                reason = (
                    "another process has yet to close an upload that was broken off"
                )
                raise errors.StoreUnavailable(store=self.name, reason=reason) from error
