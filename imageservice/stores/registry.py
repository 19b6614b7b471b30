"""The configured stores: which there are, which is the default, which take data.

Options are read here once; drivers get plain values. A driver's module is imported only
when a configured store is of its kind, so that its library may be missing otherwise.
"""

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any, Self

from oslo_config import cfg

from imageservice import errors
from imageservice.stores.driver import Capability, Driver, Workers

LOG = logging.getLogger(__name__)

ENTRY_POINTS = "imageservice.stores"

RESERVED = "os_glance_"
"""Beginning of the ids that are kept for stores of the service itself."""

DEFAULTS = "backend_defaults"

ALIASES = {"filesystem": "file"}

OPTS: Sequence[cfg.Opt] = (
    cfg.DictOpt(
        "enabled_backends",
        help="The stores, as id:kind, for example 'fast:file, cold:file'. The options of "
        "each are in the section named like its id. If unset there is a single store, "
        "with its options in [glance_store].",
    ),
)

GROUP = "glance_store"

SINGLE = f"[{GROUP}] default_store"
"""What names the kind of the store when there is a single one."""

GROUP_OPTS: Sequence[cfg.Opt] = (
    cfg.StrOpt(
        "default_backend",
        help="Id of the store that takes images for which no store is asked. Has to be "
        "set with enabled_backends.",
    ),
    cfg.StrOpt(
        "default_store",
        default="file",
        help="Kind of the single store, when enabled_backends is not set.",
    ),
    cfg.ListOpt(
        "stores",
        default=["file", "http"],
        help="Accepted and not used: the single store is the one of default_store.",
    ),
)

STORE_OPTS: Sequence[cfg.Opt] = (
    cfg.StrOpt("store_description", help="Words about the store, shown to users."),
    cfg.IntOpt(
        "weight",
        default=0,
        help="Of several stores that hold an image, the one of the highest weight is "
        "read first.",
    ),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Store:
    """One configured store and what users see of it."""

    id: str
    driver: Driver
    description: str | None = None
    weight: int = 0
    default: bool = False

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
        defaults = [store for store in self.all if store.default]
        if len(defaults) != 1:
            raise errors.Misconfigured(reason="exactly one store has to be the default")
        self.default = defaults[0]
        _refuse_shared(self.all)

    @classmethod
    def from_config(cls, conf: cfg.ConfigOpts, workers: Workers) -> Self:
        """Build the stores. Raises Misconfigured with a remedy; contacts none of them."""
        conf.register_opts(OPTS)
        conf.register_opts(GROUP_OPTS, group=GROUP)
        kinds = conf.enabled_backends
        if not kinds:
            return cls([_single(conf, workers)], multi=False)
        default = _default(conf[GROUP].default_backend, kinds)
        return cls(
            (_one(conf, workers, key, kind, default) for key, kind in kinds.items()),
            multi=True,
        )

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


def _default(default: str | None, kinds: Mapping[str, str]) -> str:
    if default in kinds:
        return str(default)
    have = (
        "is not set" if default is None else f"= {default} is not in enabled_backends"
    )
    reason = f"[{GROUP}] default_backend {have}: set it to one of {', '.join(kinds)}"
    raise errors.Misconfigured(reason=reason)


def _single(conf: cfg.ConfigOpts, workers: Workers) -> Store:
    kind = ALIASES.get(conf[GROUP].default_store, conf[GROUP].default_store)
    driver = driver_class(kind, SINGLE)
    conf.register_opts(driver.OPTS, group=GROUP)
    options = {opt.dest: conf[GROUP][opt.dest] for opt in driver.OPTS}
    options |= _shared(conf, driver)
    return Store(kind, driver.configured(kind, options, workers), default=True)


def _one(
    conf: cfg.ConfigOpts, workers: Workers, key: str, kind: str, default: str
) -> Store:
    if key.startswith(RESERVED):
        reason = f"enabled_backends: store ids beginning with {RESERVED} are reserved, rename '{key}'"
        raise errors.Misconfigured(reason=reason)
    kind = ALIASES.get(kind, kind)
    driver = driver_class(kind, f"enabled_backends: store '{key}'")
    conf.register_opts(STORE_OPTS, group=key)
    return Store(
        id=key,
        driver=driver.configured(key, _options(conf, key, driver), workers),
        description=conf[key].store_description,
        weight=conf[key].weight,
        default=key == default,
    )


def _options(conf: cfg.ConfigOpts, key: str, driver: type[Driver]) -> dict[str, Any]:
    """The values of a store's options: its own, else [backend_defaults]', else defaults."""
    conf.register_opts(driver.OPTS, group=key)
    conf.register_opts(driver.OPTS, group=DEFAULTS)

    def value(name: str) -> Any:
        place = conf.get_location(name, group=key)
        own = place is not None and place.location.is_user_controlled
        return conf[key if own else DEFAULTS][name]

    return {opt.dest: value(opt.dest) for opt in driver.OPTS} | _shared(conf, driver)


def _shared(conf: cfg.ConfigOpts, driver: type[Driver]) -> dict[str, Any]:
    for section, options in driver.SHARED.items():
        conf.register_opts(options, group=section)
    return {
        option.dest: conf[section][option.dest]
        for section, options in driver.SHARED.items()
        for option in options
    }


def driver_class(kind: str, asked_by: str) -> type[Driver]:
    """Find the driver of a kind. Raises Misconfigured: unknown, or a library is missing."""
    found = metadata.entry_points(group=ENTRY_POINTS)
    if kind not in found.names:
        known = ", ".join(sorted(found.names))
        reason = f"{asked_by}: there is no kind of store '{kind}', only {known}"
        raise errors.Misconfigured(reason=reason)
    try:
        loaded: type[Driver] = found[kind].load()
    except ImportError as error:
        reason = f"{asked_by}: {error}. Install it: pip install 'imageservice[{kind}]'"
        raise errors.Misconfigured(reason=reason) from error
    return loaded
