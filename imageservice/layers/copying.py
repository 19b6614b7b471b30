"""Copies of finished images: read in one store, verified, written into another."""

import logging
from collections.abc import Callable, Sequence

from imageservice import errors
from imageservice.context import Context
from imageservice.data import readers
from imageservice.data.verified import Expected, Verified
from imageservice.domain.allowance import Allowance
from imageservice.domain.image import Image, Location
from imageservice.services import interfaces
from imageservice.services.interfaces import Lease
from imageservice.stores import registry
from imageservice.stores.driver import Workers, Written

LOG = logging.getLogger(__name__)


class Copying:
    """Makes copies; ``inner`` is the ring within that of locations.

    ``pass_on`` is asked before each block, see ``readers.Paced``.
    """

    def __init__(
        self,
        inner: interfaces.Images,
        stores: registry.Stores,
        workers: Workers,
        pass_on: Callable[[int], None],
    ) -> None:
        self._inner = inner
        self._stores = stores
        self._workers = workers
        self._pass_on = pass_on

    def copy(
        self,
        ctx: Context,
        image: Image,
        store: str,
        allowance: Allowance,
        sources: Sequence[Location],
    ) -> None:
        """See ``interfaces.Images.copy``; the first good one of ``sources`` is taken."""
        target = self._stores.writable(store)
        target.ready()
        elsewhere = [at for at in image.locations if at.store != target.id]
        self._require_free(target, image.id, elsewhere)
        lease = self._inner.claim_copy(ctx, image, target.id, allowance)
        self._fill(lease, image, target, sources)
        LOG.info("image %s: copied into %s", image.id, target.id)

    def replace(
        self, ctx: Context, image: Image, bad: Location, sources: Sequence[Location]
    ) -> None:
        """See ``interfaces.Images.replace_copy``."""
        target = self._stores.writable(bad.store)
        target.ready()
        self._require_free(target, image.id, sources)
        lease = self._inner.claim_anew(ctx, image, bad)
        self._clear(lease, bad)
        self._fill(lease, image, target, sources, instead=bad)
        LOG.info("image %s: written again into %s", image.id, target.id)

    def _require_free(
        self, target: registry.Store, key: str, others: Sequence[Location]
    ) -> None:
        """Raise KeyExists if one of ``others`` may be what lies under ``key`` in ``target``.

        The store would say so only after the whole transfer, and whoever cleaned up after
        one that was cut off would remove what is there.
        """
        for at in others:
            if self._stores.may_hold(target, key, at.store, at.url):
                raise errors.KeyExists(store=target.id, key=key)

    def _clear(self, lease: Lease, bad: Location) -> None:
        try:
            self._stores.remove(bad.store, bad.url)
        except (errors.KeyInUse, errors.StoreDenied):  # which have changed nothing
            self._inner.release(lease)
            raise
        except BaseException:
            # They may go at any time, and new ones of the same name with them:
            # housekeeping makes an end of that.
            self._inner.abandon(lease)
            raise

    def _fill(
        self,
        lease: Lease,
        image: Image,
        target: registry.Store,
        sources: Sequence[Location],
        instead: Location | None = None,
    ) -> None:
        """Write the copy that ``lease`` stands for; whatever happens, the lease is ended."""
        try:
            written = self._write(
                lease, Expected.of(image), image.owner, target, sources
            )
        except errors.RemainsLeft:
            self._inner.abandon(lease)
            raise
        except BaseException:
            # The driver has left nothing behind.
            self._inner.release(lease)
            raise
        copy = Location(target.id, written.url, dict(written.metadata))
        self._attach(lease, copy, instead)

    def _write(
        self,
        lease: Lease,
        expected: Expected,
        owner: str | None,
        target: registry.Store,
        sources: Sequence[Location],
    ) -> Written:
        trouble: errors.Error = errors.NoData(image_id=lease.image_id)
        for source in sources:
            try:
                return self._write_from(source, lease, expected, owner, target)
            except errors.RemainsLeft:
                raise
            except (
                errors.ContentChanged,
                errors.KeyNotFound,
                errors.Unavailable,
            ) as error:
                where = (lease.image_id, source.store, target.id)
                LOG.warning("image %s: from %s to %s: %s", *where, error)
                trouble = error
        raise trouble

    def _write_from(
        self,
        source: Location,
        lease: Lease,
        expected: Expected,
        owner: str | None,
        target: registry.Store,
    ) -> Written:
        """Every reader raises at the end of the data at the latest, as in an upload."""
        held = self._stores.holding(source.store, source.url)
        chunks = held.ready().read(source.url)
        try:
            guarded = readers.Guarded(
                readers.Paced(readers.Poured(chunks), self._pass_on),
                lambda: self._inner.holds(lease),
                lambda: self._inner.confirm(lease),
            )
            with Verified(guarded, expected, self._workers) as verified:
                return target.driver.write_for(
                    owner, lease.image_id, verified, expected.size
                )
        finally:
            chunks.close()

    def _attach(self, lease: Lease, copy: Location, instead: Location | None) -> None:
        try:
            self._inner.attach_copy(lease, copy, instead)
        except errors.LeaseLost:
            # Whoever took the lease has removed our bytes, and may have stored new ones
            # under the same key: nothing there is ours to touch any more.
            self._inner.release(lease)
            raise
        except BaseException:
            # The image is doomed, or the answer got lost and the copy may be its own by
            # now: housekeeping looks, and removes the bytes if it has to.
            self._inner.abandon(lease)
            raise
