"""The composition root: configuration in, running application out; the only wiring.

Below this module nobody sees a ``ConfigOpts``: options are read here once and handed
on as plain frozen values.
"""

import contextlib
import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg
from paste import deploy

from imageservice import config, errors, stacks
from imageservice.api import app as api_app
from imageservice.api.request import Services
from imageservice.api.settings import Settings
from imageservice.api.settings import Store as ListedStore
from imageservice.care.tools import Tools, kept_alive
from imageservice.certificates import Certificates
from imageservice.context import Context
from imageservice.data import inspect, signature
from imageservice.db import engine, schema, usage
from imageservice.db import images as image_rows
from imageservice.db import leases as lease_rows
from imageservice.db import locations as location_rows
from imageservice.db import members as member_rows
from imageservice.db import options as db_options
from imageservice.db.copies import Copies
from imageservice.db.inventory import Inventory
from imageservice.db.registrations import Registrations
from imageservice.layers import location, payloads, properties, quota
from imageservice.layers.registrar import Registrar
from imageservice.limits import allowances
from imageservice.notifications import drivers, events
from imageservice.policy.enforcer import Enforcer
from imageservice.services import images, locations, members
from imageservice.services import stores as store_services
from imageservice.services import usage as usage_services
from imageservice.services.leases import Leases
from imageservice.stores import configuration, registry
from imageservice.stores.driver import Workers
from imageservice.tasks.attendance import Attendance
from imageservice.tasks.contents import Contents
from imageservice.tasks.housekeeping import Housekeeping, Stop
from imageservice.tasks.looks import Looks, Plan, Rows
from imageservice.tasks.verification import Verification

LOG = logging.getLogger(__name__)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Any]


@dataclasses.dataclass(frozen=True)
class Service:
    """The built parts that filters and applications of the pipeline need."""

    api: api_app.Api
    settings: Settings
    enforcer: Enforcer
    database: engine.Database
    stores: registry.Stores
    conf: cfg.ConfigOpts  # only for filters of other packages
    workers: Workers
    events: events.Events
    jobs: Sequence[Callable[[Stop], None]]


@dataclasses.dataclass(frozen=True)
class Application:
    """The WSGI application, and the jobs that its server runs beside the requests."""

    wsgi: Wsgi
    background: Sequence[Callable[[Stop], None]]

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Any:
        return self.wsgi(environ, start_response)


LOAD: Any = deploy.loadapp  # it has no types

#: Paste hands factories nothing but strings: they find the service under this name.
_BUILT: dict[str, Service] = {}
_NAMES = (f"service-{number}" for number in itertools.count())
_KEY = "imageservice"

#: The folder ``etc/``: a link in the source tree, files in a wheel.
ETC = Path(__file__).parent / "etc"

DEVELOPMENT_PIPELINE = ETC / "development-paste.ini"
SHIPPED_PIPELINE = ETC / "api-paste.ini"
SHIPPED_AUDIT_MAP = ETC / "imageservice-audit-map.conf"


def parts(global_conf: Mapping[str, str]) -> Service:
    """The service that the application being loaded by Paste belongs to."""
    return _BUILT[global_conf[_KEY]]


def from_environment(workers: Workers) -> Application:
    """The application as the usual configuration files say, for any WSGI server.

    Raises Misconfigured without any: another server may listen on any address, and in
    development mode every caller is an admin.
    """
    conf = config.load()
    if config.is_development(conf):
        reason = (
            "there is no configuration file: put imageservice-api.conf into "
            f"{config.FOLDER}, or name its folder in {config.FOLDER_VARIABLES[0]}"
        )
        raise errors.Misconfigured(reason=reason)
    config.setup_logging(conf)
    return application(conf, workers)


def application(conf: cfg.ConfigOpts, workers: Workers) -> Application:
    """Build the service and load the pipeline around it.

    Raises Misconfigured, naming file, section and remedy; Unavailable when the database
    does not answer.
    """
    service = build(conf, workers)
    name = next(_NAMES)
    _BUILT[name] = service
    return Application(_load(conf, name), service.jobs)


def build(conf: cfg.ConfigOpts, workers: Workers) -> Service:
    """Read every option once and put the parts together."""
    database = engine.Database(
        config.database_url(conf), db_options.Options.of(conf[db_options.GROUP])
    )
    if config.is_development(conf):
        schema.sync(database)
    else:
        schema.require_current(database)
    stores = configuration.stores(conf, workers)
    limits = quota.Limits.of(conf)
    images_rows = image_rows.Images(database)
    ids = [store.id for store in stores.all]
    attendance = Attendance(stores.all, lambda key: not images_rows.any_in(key, ids))
    leases = Leases(lease_rows.Leases(database))
    settings = _settings(conf, stores)
    protected = properties.load(conf)
    enforcer = Enforcer(conf, adopted=protected.policies if protected else {})
    rights = properties.Rights(protected, enforcer) if protected else None
    copies = Copies(database)
    told = drivers.build(conf, config.files(conf))
    known = allowances.from_config(conf)
    places = location_rows.Locations(database)
    registrations = Registrations(database)
    innermost = images.Images(
        images_rows, copies, places, leases, tag_quota=limits.image_tag_quota
    )
    looking = Plan(
        conf.hashing_algorithm,
        conf.do_secure_hash,
        limits.image_size_cap,
        conf.http_retries,
    )
    looked_at = Rows(innermost, images_rows, registrations)
    looks = Looks(
        looking,
        looked_at,
        Contents(stores, workers, leases),
        known.of,
        lambda image: told.events.emit("image.update", payloads.image(image)),
    )
    verification = Verification(looking, looked_at, leases, looks)
    housekeeping = Housekeeping(
        images_rows,
        copies,
        Inventory(database),
        lease_rows.Leases(database),
        leases,
        stores,
        verification.begin,
    )
    rings = stacks.Parts(
        enforcer=enforcer,
        events=told.events,
        rights=rights,
        limits=limits,
        allowances=known,
        stores=stores,
        workers=workers,
        digests=location.Digests(
            conf.hashing_algorithm,
            inspect.Rules.from_options(conf[inspect.GROUP]),
            _signatures(conf),
        ),
        images=innermost,
        locations=locations.Locations(registrations, leases, verification.begin),
        registrar=Registrar(
            stores,
            conf.hashing_algorithm,
            conf.do_secure_hash,
            verification.begin,
            limits.image_size_cap,
        ),
        members=members.Members(
            member_rows.Members(database), quota=limits.image_member_quota
        ),
        listed_stores=store_services.Stores(settings.stores),
        usage=usage_services.Usage(
            usage.Usage(database), known if conf.use_keystone_limits else None
        ),
    )
    services = Services(
        stacks.images(rings),
        stacks.locations(rings),
        stacks.members(rings),
        stacks.stores(rings),
        stacks.usage(rings),
    )
    if rights is not None:
        services = services._replace(may_read=rights.may_read)
    api = api_app.Api(services, settings)
    jobs = (
        *attendance.jobs,
        *housekeeping.jobs,
        *verification.jobs,
        *told.jobs,
    )
    return Service(
        api=api,
        settings=settings,
        enforcer=enforcer,
        database=database,
        stores=stores,
        conf=conf,
        workers=workers,
        events=told.events,
        jobs=jobs,
    )


def _signatures(conf: cfg.ConfigOpts) -> signature.Signatures:
    options = conf[signature.GROUP]
    keys = Certificates(conf, options.certificate_timeout)
    return signature.Signatures(keys, signature.Rules.from_options(options))


@contextlib.contextmanager
def tools(
    conf: cfg.ConfigOpts, workers: Workers, pass_on: Callable[[int], None]
) -> Iterator[Tools]:
    """What care for bytes works with; ``pass_on`` is asked for each block of a copy.

    Raises Misconfigured; Unavailable when the database does not answer.
    """
    database = engine.Database(
        config.database_url(conf), db_options.Options.of(conf[db_options.GROUP])
    )
    schema.require_current(database)
    stores = configuration.stores(conf, workers)
    rows, lease_table = image_rows.Images(database), lease_rows.Leases(database)
    leases = Leases(lease_table)
    copies = Copies(database)
    innermost = images.Images(rows, copies, location_rows.Locations(database), leases)
    digests = location.Digests(
        conf.hashing_algorithm,
        inspect.Rules.from_options(conf[inspect.GROUP]),
        _signatures(conf),
    )
    without_rules = stacks.images_for_tasks(
        location.Images(stores, workers, digests, pass_on), innermost
    )
    inventory = Inventory(database)
    # Registered locations are looked at by daemons.
    housekeeping = Housekeeping(
        rows, copies, inventory, lease_table, leases, stores, verify=None
    )
    operator = Context(is_admin=True)
    try:
        with kept_alive(housekeeping):
            yield Tools(operator, without_rules, inventory, stores, workers)
    finally:
        database.close()


def _settings(conf: cfg.ConfigOpts, stores: registry.Stores) -> Settings:
    listed = (
        tuple(
            ListedStore(
                id=store.id,
                kind=store.kind,
                weight=store.weight,
                properties=store.driver.properties,
                description=store.description,
                is_default=store.default,
                is_read_only=store.read_only,
            )
            for store in stores.all
        )
        if stores.multi
        else ()
    )
    return Settings.of(conf, stores=listed)


def _load(conf: cfg.ConfigOpts, service_name: str) -> Wsgi:
    path, application_name = _pipeline(conf)
    values = {_KEY: service_name}
    files = config.files(conf)
    if files:
        # Filters of other packages read their options from one file: the main one.
        values["oslo_config_file"] = str(files[-1])
    try:
        loaded: Wsgi = LOAD(f"config:{path}", name=application_name, global_conf=values)
    except (LookupError, OSError, ImportError, ValueError, SyntaxError) as error:
        reason = f"{path}, [{application_name}]: {error}. Correct the file, or unset [paste_deploy]."
        raise errors.Misconfigured(reason=reason) from error
    return loaded


def _pipeline(conf: cfg.ConfigOpts) -> tuple[Path, str]:
    """The Paste file and the name of the application in it (operations.md §7)."""
    if config.is_development(conf):
        return DEVELOPMENT_PIPELINE, "imageservice-api"
    flavor = conf.paste_deploy.flavor
    name = f"imageservice-api-{flavor}" if flavor else "imageservice-api"
    given = conf.paste_deploy.config_file
    if given:
        found = conf.find_file(given)
        if found is None:
            reason = f"[paste_deploy] config_file: there is no file {given}"
            raise errors.Misconfigured(reason=reason)
        return Path(found), name
    for file in reversed(config.files(conf)):
        beside = file.with_name(file.stem + "-paste.ini")
        if beside.exists():
            return beside, name
    return SHIPPED_PIPELINE, name
