"""The stores of this service: which there are, which is the default, which take data."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from imageservice import errors
from imageservice.stores.condition import Condition
from imageservice.stores.driver import Capability, Driver

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Store:
    """One configured store and what users see of it."""

    id: str
    driver: Driver
    description: str | None = None
    weight: int = 0
    default: bool = False
    #: Seconds in which clients may fetch an image by themselves; None: they may not.
    redirect_s: int | None = None
    condition: Condition = dataclasses.field(default_factory=Condition, compare=False)

    def ready(self) -> Driver:
        """The driver, for a request. Raises StoreUnavailable if the store hangs."""
        self.condition.require(self.id)
        return self.driver

    @property
    def kind(self) -> str:
        return self.driver.kind

    @property
    def read_only(self) -> bool:
        return Capability.WRITE not in self.driver.capabilities

    @property
    def properties(self) -> dict[str, Any]:
        return self.driver.properties()


class Stores:
    """All stores of this service, in the order of the configuration.

    ``multi`` tells the two forms of configuration apart: only with several stores are
    stores advertised and selectable (images.md §3.1, §15).
    """

    def __init__(self, stores: Iterable[Store], *, multi: bool) -> None:
        self.all = tuple(stores)
        self.multi = multi
        self._by_id = {store.id: store for store in self.all}
        self._adopted: set[tuple[str, str]] = set()  # told of in the log
        defaults = [store for store in self.all if store.default]
        if len(defaults) != 1:
            raise errors.Misconfigured(reason="exactly one store has to be the default")
        self.default = defaults[0]
        _refuse_shared(self.all)

    def get(self, store_id: str) -> Store:
        """Raises StoreUnknown."""
        try:
            return self._by_id[store_id]
        except KeyError:
            known = ", ".join(self._by_id)
            raise errors.StoreUnknown(store=store_id, known=known) from None

    def writable(self, store_id: str | None) -> Store:
        """The store for new data, None for the default. Raises StoreUnknown, StoreReadOnly."""
        store = self.default if store_id is None else self.get(store_id)
        if store.read_only:
            raise errors.StoreReadOnly(store=store.id)
        return store

    def holding(self, store_id: str, url: str) -> Store:
        """The store that a location lies in: the one it names, else the first that knows it.

        The second is for locations from before a store got another id, or that another
        service wrote (contract operations.md §3.3). Raises StoreUnavailable if no
        configured store is meant: no mistake of the caller's.
        """
        if store_id in self._by_id:
            return self._by_id[store_id]
        for store in self.knowing(url):
            if (store_id, store.id) not in self._adopted:
                self._adopted.add((store_id, store.id))
                LOG.warning(
                    "store '%s' is not configured any more: '%s' has the data of some of its "
                    "locations. Run 'imageservice-manage stores relocate'",
                    store_id,
                    store.id,
                )
            return store
        reason = "it is not configured any more"
        raise errors.StoreUnavailable(store=store_id, reason=reason)

    def remove(self, store_id: str, url: str) -> bool:
        """Remove the bytes at a location; False if its store is one that removes none.

        That they have gone already is no error, unless they may lie in a store that is
        not configured any more, or has another id now: StoreUnavailable. Raises KeyInUse,
        StoreDenied, StoreUnavailable.
        """
        try:
            self._sure(store_id, url).ready().delete(url)
        except errors.KeyNotFound as error:
            if store_id and store_id not in self._by_id:
                reason = (
                    "it is not configured any more, and no other store has its data"
                )
                raise errors.StoreUnavailable(store=store_id, reason=reason) from error
            LOG.warning("already gone: %s", error)
        except errors.Unsupported as error:
            # They belong to somebody else's web server (contract operations.md §3.1).
            LOG.info("bytes left where they are: %s", error)
            return False
        return True

    def _sure(self, store_id: str, url: str) -> Store:
        """As ``holding``. Raises StoreUnavailable if it would have to choose, too."""
        if store_id not in self._by_id and len(list(self.knowing(url))) > 1:
            reason = "it is not configured any more, and several others know its data"
            raise errors.StoreUnavailable(store=store_id, reason=reason)
        return self.holding(store_id, url)

    def knowing(self, url: str) -> Iterator[Store]:
        """The stores of which ``url`` is a location, going by its words."""
        for store in self.all:
            with contextlib.suppress(errors.LocationInvalid):
                store.driver.canonical(url)
                yield store

    def may_hold(self, store: Store, key: str, store_id: str, url: str) -> bool:
        """Whether a location may be what lies under ``key`` in ``store``.

        One of a store that is not configured any more may lie in each that knows it.
        Raises StoreUnavailable.
        """
        if store_id != store.id and store_id in self._by_id:
            return False
        try:
            return key in store.driver.canonical(url)
        except (errors.LocationInvalid, errors.Unsupported):
            return False

    def weight(self, store_id: str) -> int:
        """0 also for a store that is no longer configured."""
        store = self._by_id.get(store_id)
        return store.weight if store else 0


def _refuse_shared(stores: Sequence[Store]) -> None:
    owners: dict[str, str] = {}
    for store in stores:
        for claim in store.driver.claims():
            other = owners.setdefault(claim, store.id)
            if other != store.id:
                reason = f"stores '{other}' and '{store.id}' both use {claim}: give each its own"
                raise errors.Misconfigured(reason=reason)
