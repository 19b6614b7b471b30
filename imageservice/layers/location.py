"""The location ring: where bytes become locations, and locations bytes again."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from imageservice import errors
from imageservice.context import Context
from imageservice.data import inspect, readers
from imageservice.data.continued import Continued
from imageservice.data.hashing import Verifier
from imageservice.data.signature import Signatures
from imageservice.domain import image as domain
from imageservice.domain.allowance import NOTHING, Allowance
from imageservice.domain.image import Image
from imageservice.layers.base import Layer
from imageservice.layers.copying import Copying
from imageservice.layers.redirects import redirect
from imageservice.layers.removal import remove
from imageservice.services import interfaces
from imageservice.services.interfaces import Download, Lease, Redirect, Stored
from imageservice.stores import registry
from imageservice.stores.driver import Chunks, Driver, Reader, Workers

LOG = logging.getLogger(__name__)


class Digests(NamedTuple):
    """How bytes are checked on their way in."""

    algorithm: str  # of os_hash_value
    rules: inspect.Rules
    signatures: Signatures


class Images(Layer):
    """Write, read and delete the bytes of images."""

    inner: interfaces.Images

    def __init__(
        self,
        stores: registry.Stores,
        workers: Workers,
        digests: Digests,
        pass_on: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._stores = stores
        self._workers = workers
        self._digests = digests
        self._pass_on = pass_on  # see Copying

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
        target.ready()
        # The row is claimed before a byte is read: two uploads of one image would
        # otherwise both find it queued and the slower would overwrite the faster.
        lease = self.inner.claim(ctx, image, target.id, size, allowance)
        try:
            # Whoever lacks the certificate should not have to send the bytes first.
            verifier = self._digests.signatures.verifier(ctx, image)
            source = self._checked(data, size, lease, allowance)
            stored = self._write(image, source, size, target, verifier)
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
        self,
        image: Image,
        source: Reader,
        size: int | None,
        target: registry.Store,
        verifier: Verifier | None,
    ) -> Stored:
        """Pass the bytes through every check into the store.

        Each reader raises at the end of the data at the latest, so a driver never
        makes visible what was refused (✗17).
        """
        inspecting = inspect.Inspecting(
            source, image.disk_format, image.container_format, self._digests.rules
        )
        algorithm = self._digests.algorithm
        with readers.Hashing(inspecting, algorithm, self._workers, verifier) as hashing:
            written = target.driver.write_for(image.owner, image.id, hashing, size)
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
        *,
        may_redirect: bool = False,
    ) -> Download | Redirect:
        if image.status == "deactivated" and not ctx.is_admin:
            raise errors.ImageDeactivated(image_id=image.id)
        # Only finished images have data to give (✗17).
        if image.status not in ("active", "deactivated") or image.size is None:
            raise errors.NoData(image_id=image.id)
        end = image.size if stop is None else stop
        ordered = self._in_order(image.locations, prefer)
        if may_redirect and ordered:
            elsewhere = redirect(self._stores, image, ordered[0])
            if elsewhere is not None:
                return elsewhere
        copies = self._copies(ctx, image, ordered, prefer)
        first = self._open(image, copies, start, end)

        def following(passed: int) -> Chunks:
            LOG.warning("image %s: going on behind byte %d", image.id, start + passed)
            return self._open(image, copies, start + passed, end)

        return Download(end - start, Continued(first, following, end - start))

    def _copies(
        self,
        ctx: Context,
        image: Image,
        ordered: Sequence[domain.Location],
        prefer: Sequence[str],
    ) -> Iterator[domain.Location]:
        """The copies there were, then those that have been made since (``stores drain``)."""
        yield from ordered
        try:
            now = self.inner.find(ctx, image.id)
        except errors.ImageNotFound:
            return
        known = {at.spot for at in ordered}
        since = [at for at in now.locations if at.spot not in known]
        yield from self._in_order(since, prefer)

    def _open(
        self, image: Image, copies: Iterator[domain.Location], start: int, end: int
    ) -> Chunks:
        """Open the next copy that can be opened. Raises what kept the last one from it."""
        trouble: errors.Error = errors.NoData(image_id=image.id)
        for copy in copies:
            try:
                return self._driver(copy).read(copy.url, start, end - start)
            except errors.KeyNotFound as error:
                LOG.error("image %s: %s", image.id, error)
            except errors.LocationInvalid as error:
                # Whoever registered it should know; who reads has made no mistake. Nor
                # are they to learn whether our filter or the server refuses
                # (contract operations.md §8.2).
                LOG.error("image %s: %s", image.id, error)
                reason = errors.OutboundFailed.template
                trouble = errors.StoreUnavailable(store=copy.store, reason=reason)
            except errors.Error as error:
                LOG.warning("image %s: %s", image.id, error)
                trouble = error
        raise trouble

    def copy(
        self, ctx: Context, image: Image, store: str, allowance: Allowance = NOTHING
    ) -> None:
        sources = self._in_order(image.locations, ())
        self._copying().copy(ctx, image, store, allowance, sources)

    def replace_copy(self, ctx: Context, image: Image, bad: domain.Location) -> None:
        others = [at for at in image.locations if at.spot != bad.spot]
        self._copying().replace(ctx, image, bad, self._in_order(others, ()))

    def _copying(self) -> Copying:
        return Copying(self.inner, self._stores, self._workers, self._pass_on)

    def _driver(self, location: domain.Location) -> Driver:
        """The driver of a location's store.

        Raises StoreUnavailable if it hangs, or is no longer configured.
        """
        return self._stores.holding(location.store, location.url).ready()

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
                removed += self._stores.remove(location.store, location.url)
        except errors.Error as error:
            is_whole = isinstance(error, errors.NotBegun) or not isinstance(
                error, errors.RemainsLeft | errors.NoAnswer
            )
            if removed == 0 and is_whole:
                self.inner.spare(doomed)
                raise
            # Some bytes are gone for good, or may go at any time, so the image is:
            # housekeeping goes on.
            LOG.warning("image %s: rest removed later: %s", image.id, error)
            self.inner.abandon(doomed.lease)
        except BaseException:
            self.inner.abandon(doomed.lease)
            raise
        else:
            self._bury(doomed)

    def remove_copy(self, ctx: Context, image: Image, store: str) -> None:
        if image.status != "active":
            raise errors.ImageUnfinished(image_id=image.id, status=image.status)
        self.drop_copy(ctx, image, store)

    def drop_copy(self, ctx: Context, image: Image, store: str) -> None:
        if len(image.locations) == 1:
            raise errors.LastCopy(image_id=image.id)
        copy = next((at for at in image.locations if at.store == store), None)
        if copy is None:
            raise errors.CopyNotFound(image_id=image.id, store=store)
        lease = self.inner.doom_copy(ctx, image, copy)
        if lease is not None:
            remove(self.inner, self._stores, lease, (copy,))

    def _bury(self, doomed: interfaces.Doomed) -> None:
        try:
            self.inner.bury(doomed)
        except errors.Error as error:
            # Nobody sees it any more, and its bytes are gone: it is deleted, and told to
            # be. Housekeeping removes the rows.
            image_id = doomed.lease.image_id
            LOG.warning("image %s: rows removed later: %s", image_id, error)
