"""Where clients may fetch an image's bytes themselves (docs/adr/0024-redirects.md)."""

import logging

from imageservice import errors
from imageservice.domain.image import Image, Location
from imageservice.services.interfaces import Redirect
from imageservice.stores.registry import Stores

LOG = logging.getLogger(__name__)


def redirect(stores: Stores, image: Image, copy: Location) -> Redirect | None:
    """The address of a copy for the client; None if its bytes are to come through here.

    Nobody is sent where the bytes are not: whatever is wrong is found out by the store's
    answer, logged, and met again by whoever reads the copies instead.
    """
    try:
        store = stores.holding(copy.store, copy.url)
        if store.redirect_s is None:
            return None
        driver = store.ready()
        found = driver.size(copy.url)
        if found == image.size:
            return Redirect(driver.redirect(copy.url, store.redirect_s), store.id)
        LOG.error("image %s: %d bytes are in store %s", image.id, found, store.id)
    except errors.Error as error:
        LOG.warning("image %s is not redirected: %s", image.id, error)
    return None
