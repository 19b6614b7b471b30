"""Who names what lies in a store: any row may, in words of its own."""

from imageservice import errors
from imageservice.db.inventory import Inventory, Kept
from imageservice.stores.driver import Driver


def place(driver: Driver, copy: Kept) -> str | None:
    """Where a copy lies, as the store lists it; None if that is not in this store."""
    try:
        return driver.canonical(copy.url)
    except (errors.LocationInvalid, errors.Unsupported):
        return None


def is_claimed(driver: Driver, inventory: Inventory, key: str) -> bool:
    """Whether a row of any image names what lies under ``key`` in the driver's store.

    Not only the image with this id: services register bytes under names of others, and to
    discard a key removes all that lies under it. Reads all locations.
    """
    named = inventory.naming(key)
    return any(key in (place(driver, copy) or "") for _, copy in named)
