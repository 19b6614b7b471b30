"""The location ring: where bytes become locations, and locations bytes again."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from imageservice import errors
from imageservice.context import Context
from imageservice.data import inspect, readers
from imageservice.domain import image as domain
from imageservice.domain.allowance import NOTHING, Allowance
from imageservice.domain.image import Image
from imageservice.layers.base import Layer
from imageservice.services import interfaces
from imageservice.services.interfaces import Download, Lease, Stored
from imageservice.stores import registry
from imageservice.stores.driver import Driver, Reader, Workers

LOG = logging.getLogger(__name__)


class Digests(NamedTuple):
    """How bytes are checked on their way in."""

    algorithm: str  # of os_hash_value
    rules: inspect.Rules


class Images(Layer):
    """Write, read and delete the bytes of images."""

    inner: interfaces.Images

    def __init__(
        self, stores: registry.Stores, workers: Workers, digests: Digests
    ) -> None:
        self._stores = stores
        self._workers = workers
        self._digests = digests

    def upload(
        self,
        ctx: Context,
        image: Image,
        data: Reader,
        size: int | None,
        store: str | None,
        allowance: Allowance = NOTHING,
    ) -> None:
        target = self._stores.writable(store)
        # The row is claimed before a byte is read: two uploads of one image would
        # otherwise both find it queued and the slower would overwrite the faster.
        lease = self.inner.claim(ctx, image, target.id, size, allowance)
        try:
            source = self._checked(data, size, lease, allowance)
            stored = self._write(image, source, size, target)
        except errors.RemainsLeft:
            self.inner.abandon(lease)
            raise
        except BaseException:
            # The driver has left nothing behind; only the row is to be put back.
            self.inner.release(lease)
            raise
        self._attach(ctx, lease, stored, target)
        LOG.info("image %s: %d bytes stored in %s", image.id, stored.size, lease.store)

    def _checked(
        self, data: Reader, size: int | None, lease: Lease, allowance: Allowance
    ) -> Reader:
        """The bytes, as long as they are wanted, as announced, and there is room."""
        # A worker that slept while another one took over, and discarded what was there
        # by then, would make bytes visible that belong to nobody: so it asks once more
        # when the driver has begun, and a later discard makes the driver fail.
        source: Reader = readers.Guarded(
            data, lambda: self.inner.holds(lease), lambda: self.inner.confirm(lease)
        )
        if size is not None:
            return readers.Announced(source, size)
        if allowance.bytes is None:
            return source
        return readers.Reserving(
            source, lambda need, wish: self.inner.grow(lease, need, wish, allowance)
        )

    def _write(
        self, image: Image, source: Reader, size: int | None, target: registry.Store
    ) -> Stored:
        """Pass the bytes through every check into the store.

        Each reader raises at the end of the data at the latest, so a driver never
        makes visible what was refused (✗17).
        """
        inspecting = inspect.Inspecting(
            source, image.disk_format, image.container_format, self._digests.rules
        )
        algorithm = self._digests.algorithm
        with readers.Hashing(inspecting, algorithm, self._workers) as hashing:
            written = target.driver.write(image.id, hashing, size)
            digests = hashing.result()
        return Stored(
            url=written.url,
            metadata=dict(written.metadata),
            size=digests.size,
            virtual_size=inspecting.virtual_size,
            checksum=digests.md5,
            os_hash_algo=algorithm,
            os_hash_value=digests.value,
        )

    def _attach(
        self, ctx: Context, lease: Lease, stored: Stored, target: registry.Store
    ) -> None:
        try:
            self.inner.attach(ctx, lease, stored)
        except errors.ImageGone:
            try:
                target.driver.delete(stored.url)
            except errors.Error as error:
                LOG.warning("image %s: bytes removed later: %s", lease.image_id, error)
                self.inner.abandon(lease)
            else:
                self.inner.release(lease)
            raise
        except errors.LeaseLost:
            # Whoever took the lease has removed our bytes, and may have stored new ones
            # under the same key: nothing there is ours to touch any more.
            self.inner.release(lease)
            raise
        except BaseException:
            # The answer got lost: the row may be active or still ours. Housekeeping
            # looks, and removes the bytes only in the second case.
            self.inner.abandon(lease)
            raise

    def download(
        self,
        ctx: Context,
        image: Image,
        start: int,
        stop: int | None,
        prefer: Sequence[str],
    ) -> Download:
        if image.status == "deactivated" and not ctx.is_admin:
            raise errors.ImageDeactivated(image_id=image.id)
        # Only finished images have data to give (✗17).
        if image.status not in ("active", "deactivated") or image.size is None:
            raise errors.NoData(image_id=image.id)
        end = image.size if stop is None else stop
        trouble: errors.Error = errors.NoData(image_id=image.id)
        for location in self._in_order(image.locations, prefer):
            try:
                driver = self._driver(location.store)
                return Download(
                    end - start, driver.read(location.url, start, end - start)
                )
            except errors.KeyNotFound as error:
                LOG.error("image %s: %s", image.id, error)
            except errors.Error as error:
                LOG.warning("image %s: %s", image.id, error)
                trouble = error
        raise trouble

    def _driver(self, store: str) -> Driver:
        """The driver of the store that a location names.

        Raises StoreUnavailable if it is no longer configured: no mistake of the caller.
        """
        try:
            return self._stores.get(store).driver
        except errors.StoreUnknown as error:
            reason = "it is not configured any more"
            raise errors.StoreUnavailable(store=store, reason=reason) from error

    def _in_order(
        self, locations: Sequence[domain.Location], prefer: Sequence[str]
    ) -> list[domain.Location]:
        """Preferred stores first, then by weight, highest first; else as they were added."""
        wanted = {store: place for place, store in enumerate(prefer)}
        return sorted(
            locations,
            key=lambda at: (
                wanted.get(at.store, len(wanted)),
                -self._stores.weight(at.store),
            ),
        )

    def delete(self, ctx: Context, image: Image) -> None:
        doomed = self.inner.doom(ctx, image)
        if doomed is None:
            return
        removed = 0
        try:
            for location in doomed.locations:
                removed += self._remove(location)
        except errors.Error as error:
            if removed == 0:
                self.inner.spare(doomed)
                raise
            # Some bytes are gone for good, so the image is: housekeeping goes on.
            LOG.warning("image %s: rest removed later: %s", image.id, error)
            self.inner.abandon(doomed.lease)
        except BaseException:
            self.inner.abandon(doomed.lease)
            raise
        else:
            self._bury(doomed)

    def _bury(self, doomed: interfaces.Doomed) -> None:
        try:
            self.inner.bury(doomed)
        except errors.Error as error:
            # Nobody sees it any more, and its bytes are gone: it is deleted, and told to
            # be. Housekeeping removes the rows.
            image_id = doomed.lease.image_id
            LOG.warning("image %s: rows removed later: %s", image_id, error)

    def _remove(self, location: domain.Location) -> bool:
        """Remove the bytes of a location; False if its store is one that removes none."""
        try:
            self._driver(location.store).delete(location.url)
        except errors.KeyNotFound as error:
            LOG.warning("already gone: %s", error)
        except errors.Unsupported as error:
            # They belong to somebody else's web server (contract operations.md §3.1).
            LOG.info("bytes left where they are: %s", error)
            return False
        return True
