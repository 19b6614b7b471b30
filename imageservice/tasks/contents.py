"""What lies at a location: how many bytes, and which."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from imageservice import errors
from imageservice.data import readers
from imageservice.domain.image import Location
from imageservice.domain.proposals import Digests
from imageservice.services.interfaces import Lease
from imageservice.services.leases import Leases
from imageservice.stores import registry
from imageservice.stores.driver import Driver, Reader, Workers
from imageservice.tasks.housekeeping import Stop

FINAL = (errors.KeyNotFound, errors.LocationInvalid, errors.Unsupported)
"""What a store answers that it will answer again."""


class Unreadable(Exception):
    """The bytes cannot be had."""


class Unanswered(Exception):
    """They cannot be had now; the store may be asked again."""


class Found(NamedTuple):
    """Bytes that were read to their end."""

    size: int
    digests: Digests


class Contents:
    """Asks stores. Everything here raises Unreadable and Unanswered."""

    def __init__(self, stores: registry.Stores, workers: Workers, held: Leases) -> None:
        self._stores = stores
        self._workers = workers
        self._held = held

    def canonical(self, at: Location) -> str:
        """Return the URL as the store words it today."""
        with _translated():
            return self._driver(at).canonical(at.url)

    def size(self, at: Location) -> int:
        """Return how many bytes there are; never 0."""
        with _translated():
            size = self._driver(at).size(at.url)
        if size <= 0:
            raise Unreadable("there are no bytes")
        return size

    def read(
        self, lease: Lease, at: Location, algorithm: str, most: int, stop: Stop
    ) -> Found:
        """Read all bytes, or a few more than ``most``. Raises ImageGone, LeaseLost, too."""
        with _translated():
            chunks = self._driver(at).read(at.url)
            source: Reader = readers.Guarded(
                readers.Poured(chunks), lambda: self._check(lease, stop)
            )
            try:
                with readers.Hashing(source, algorithm, self._workers) as hashing:
                    size = 0
                    while size <= most and (block := hashing.read()):
                        size += len(block)
                    found = hashing.result()
            finally:
                chunks.close()
        return Found(found.size, Digests(algorithm, found.value, found.md5))

    def _check(self, lease: Lease, stop: Stop) -> None:
        self._held.holds(lease)
        if stop.wait(0):
            raise errors.LeaseLost(image_id=lease.image_id)

    def _driver(self, at: Location) -> Driver:
        return self._stores.holding(at.store, at.url).ready()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (errors.LeaseLost, errors.ImageGone):
        raise
    except FINAL as error:
        raise Unreadable(str(error)) from error
    except errors.Error as error:
        raise Unanswered(str(error)) from error
