"""The stores as the configuration has them.

Options are read here once; drivers get plain values. A driver's module is imported only
when a configured store is of its kind, so that its library may be missing otherwise.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any, NamedTuple

from oslo_config import cfg

from imageservice import errors
from imageservice.stores.broken import Broken
from imageservice.stores.driver import Capability, Driver, Workers
from imageservice.stores.registry import Store, Stores

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

BESIDE = f"[{GROUP}] stores"
"""What names the kinds beside it."""

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
        default=["http"],
        deprecated_for_removal=True,
        deprecated_reason="Name the stores in [DEFAULT] enabled_backends.",
        help="Kinds of stores beside the one of default_store, when enabled_backends is "
        "not set, each with its options in [glance_store]. New images go to that of "
        "default_store alone; from these they are read, and services may register what "
        "lies there. Without http nobody can register web addresses.",
    ),
)

REDIRECT_OPTS: Sequence[cfg.Opt] = (
    cfg.BoolOpt(
        "redirect",
        default=False,
        help="Send clients that download an image to the store itself: they are answered "
        "307 with a URL that the store accepts for a short while, and the bytes do not "
        "pass this service. For kinds s3 and swift. Clients must be able to reach the "
        "store, and most of them send it their token along with the request: turn it on "
        "only for a store that may see those, over https. A client that asks with "
        "?prefer=proxy is served as without this. In [backend_defaults] it is for all stores "
        "of these kinds.",
    ),
    cfg.IntOpt(
        "redirect_lifetime",
        default=60,
        min=1,
        max=3600,
        help="Seconds in which a download has to begin at the store; one under way goes "
        "on. Whoever learns the URL meanwhile can read the image, so keep it short: longer "
        "than the clocks of this host and of the store may differ, and than it "
        "takes a client to follow.",
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
    *REDIRECT_OPTS,
)


class Kind(NamedTuple):
    """The kind of a store, and what names it."""

    name: str
    asked_by: str


def kinds(conf: cfg.ConfigOpts) -> dict[str, Kind]:
    """The kinds of all stores by id; without enabled_backends that is the kind itself."""
    if conf.enabled_backends:
        return {
            key: Kind(ALIASES.get(kind, kind), f"enabled_backends: store '{key}'")
            for key, kind in conf.enabled_backends.items()
        }
    named = [(conf[GROUP].default_store, SINGLE)]
    named += [(kind, BESIDE) for kind in conf[GROUP].stores]
    found: dict[str, Kind] = {}
    for kind, asked_by in named:
        name = ALIASES.get(kind, kind)
        found.setdefault(name, Kind(name, asked_by))
    return found


def stores(conf: cfg.ConfigOpts, workers: Workers) -> Stores:
    """Build the stores. Raises Misconfigured with a remedy; contacts none of them."""
    conf.register_opts(OPTS)
    conf.register_opts(GROUP_OPTS, group=GROUP)
    if not conf.enabled_backends:
        made = (_single(conf, workers, kind) for kind in kinds(conf).values())
        return Stores(made, multi=False)
    default = _default(conf[GROUP].default_backend, conf.enabled_backends)
    return Stores(
        (_one(conf, workers, key, kind, default) for key, kind in kinds(conf).items()),
        multi=True,
    )


def _default(default: str | None, kinds: Mapping[str, str]) -> str:
    if default in kinds:
        return str(default)
    have = (
        "is not set" if default is None else f"= {default} is not in enabled_backends"
    )
    reason = f"[{GROUP}] default_backend {have}: set it to one of {', '.join(kinds)}"
    raise errors.Misconfigured(reason=reason)


def _single(conf: cfg.ConfigOpts, workers: Workers, kind: Kind) -> Store:
    """The store of default_store, or one of those beside it."""
    conf.register_opts(REDIRECT_OPTS, group=GROUP)

    def make() -> Driver:
        found = driver_class(*kind)
        conf.register_opts(found.OPTS, group=GROUP)
        options = {opt.dest: conf[GROUP][opt.dest] for opt in found.OPTS}
        return found.configured(kind.name, options | _shared(conf, found), workers)

    if kind.asked_by != SINGLE:
        return Store(kind.name, _or_broken(kind.name, kind, workers, make))
    driver = make()
    redirect_s = _redirect(conf[GROUP], driver)
    return Store(kind.name, driver, default=True, redirect_s=redirect_s)


def _one(
    conf: cfg.ConfigOpts, workers: Workers, key: str, kind: Kind, default: str
) -> Store:
    if key.startswith(RESERVED):
        reason = f"enabled_backends: store ids beginning with {RESERVED} are reserved, rename '{key}'"
        raise errors.Misconfigured(reason=reason)
    conf.register_opts(STORE_OPTS, group=key)

    def make() -> Driver:
        found = driver_class(*kind)
        return found.configured(key, _options(conf, key, found), workers)

    driver = make() if key == default else _or_broken(key, kind, workers, make)
    return Store(
        id=key,
        driver=driver,
        description=conf[key].store_description,
        weight=conf[key].weight,
        default=key == default,
        redirect_s=_redirect(_redirecting(conf, key, driver), driver),
    )


def _or_broken(
    key: str, kind: Kind, workers: Workers, make: Callable[[], Driver]
) -> Driver:
    """What ``make`` gives, or a stand-in if its library is missing."""
    try:
        return make()
    except errors.LibraryMissing as error:
        LOG.error("%s. Until then the other stores are served alone", error)
        return Broken(key, workers, kind.name)


def _redirecting(conf: cfg.ConfigOpts, key: str, driver: Driver) -> Mapping[str, Any]:
    """The values of REDIRECT_OPTS; those of [backend_defaults] are for stores that can."""
    if Capability.REDIRECT in driver.capabilities:
        return _values(conf, key, REDIRECT_OPTS)
    own: Mapping[str, Any] = conf[key]
    return own


def _redirect(options: Mapping[str, Any], driver: Driver) -> int | None:
    if not options["redirect"] or isinstance(driver, Broken):
        return None
    if Capability.REDIRECT not in driver.capabilities:
        reason = (
            f"store '{driver.name}': redirect: a store of kind {driver.kind} cannot"
        )
        raise errors.Misconfigured(reason=reason)
    return int(options["redirect_lifetime"])


def _options(conf: cfg.ConfigOpts, key: str, driver: type[Driver]) -> dict[str, Any]:
    values = _values(conf, key, driver.OPTS)
    for names in driver.ALTERNATIVES:
        if any(_is_own(conf, key, name) for name in names):
            values |= {name: conf[key][name] for name in names}
    return values | _shared(conf, driver)


def _values(
    conf: cfg.ConfigOpts, key: str, options: Sequence[cfg.Opt]
) -> dict[str, Any]:
    """The values of a store's options: its own, else [backend_defaults]', else defaults."""
    conf.register_opts(options, group=key)
    conf.register_opts(options, group=DEFAULTS)
    return {
        opt.dest: conf[key if _is_own(conf, key, opt.dest) else DEFAULTS][opt.dest]
        for opt in options
    }


def _is_own(conf: cfg.ConfigOpts, key: str, name: str) -> bool:
    place = conf.get_location(name, group=key)
    return place is not None and bool(place.location.is_user_controlled)


def _shared(conf: cfg.ConfigOpts, driver: type[Driver]) -> dict[str, Any]:
    for section, options in driver.SHARED.items():
        conf.register_opts(options, group=section)
    return {
        option.dest: conf[section][option.dest]
        for section, options in driver.SHARED.items()
        for option in options
    }


def driver_class(kind: str, asked_by: str) -> type[Driver]:
    """Find the driver of a kind. Raises Misconfigured, LibraryMissing."""
    found = metadata.entry_points(group=ENTRY_POINTS)
    if kind not in found.names:
        known = ", ".join(sorted(found.names))
        reason = f"{asked_by}: there is no kind of store '{kind}', only {known}"
        raise errors.Misconfigured(reason=reason)
    try:
        loaded: type[Driver] = found[kind].load()
    except ImportError as error:
        reason = f"{asked_by}: {error}. Install it: pip install 'imageservice[{kind}]'"
        raise errors.LibraryMissing(reason=reason) from error
    return loaded
