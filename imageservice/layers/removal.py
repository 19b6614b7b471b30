"""Copies that nobody sees any more: their bytes go, then their rows (✗25, ✗44)."""

import logging
from collections.abc import Sequence

from imageservice import errors
from imageservice.domain.image import Location
from imageservice.services import interfaces
from imageservice.services.interfaces import Lease
from imageservice.stores import registry

LOG = logging.getLogger(__name__)


def remove(
    inner: interfaces.Images,
    stores: registry.Stores,
    lease: Lease,
    copies: Sequence[Location],
) -> None:
    """Remove hidden ``copies``, for which ``lease`` stands, from their stores.

    Raises KeyInUse and StoreDenied if not even the first could be removed: all are shown
    again. Any other trouble is housekeeping's: the image has other copies, which are
    whole, and nobody knows how much is left of these.
    """
    removed = 0
    try:
        for copy in copies:
            removed += stores.remove(copy.store, copy.url)
        inner.bury_copy(lease)
    except errors.Error as error:
        # Which have changed nothing.
        is_refused = isinstance(error, errors.KeyInUse | errors.StoreDenied)
        if is_refused and not removed:
            inner.spare_copy(lease)
            raise
        LOG.warning("image %s: copies removed later: %s", lease.image_id, error)
        inner.abandon(lease)
    except BaseException:
        inner.abandon(lease)
        raise
