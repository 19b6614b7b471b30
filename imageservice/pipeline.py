"""What a Paste file names: the factories of our applications and filters.

Paste hands factories nothing but strings; ``service.parts`` gives the service that was
built for them, once per process.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from oslo_config import cfg
from oslo_middleware import cors, http_proxy_to_wsgi

from imageservice import config, service
from imageservice.api import middleware
from imageservice.api.answer import Application, Body, Environ, StartResponse
from imageservice.api.middleware import Identified
from imageservice.api.mounts import Mounts
from imageservice.api.versions import Versions
from imageservice.filters import audit, compression, ratelimit, tracing
from imageservice.identity import authtoken
from imageservice.identity.tokens import Tokens

Filter = Callable[[Application], Application]
Strings = Mapping[str, str]

# Other projects' filters have no types, or narrower ones than servers live by.
CORS: Any = cors.CORS
PROXY: Any = http_proxy_to_wsgi.HTTPProxyToWSGI

HEADERS_ALLOWED = [
    "Content-MD5", "X-Image-Meta-Checksum", "X-Storage-Token", "Accept-Encoding",
    "X-Auth-Token", "X-Identity-Status", "X-Roles", "X-Service-Catalog", "X-User-Id",
    "X-Tenant-Id", "X-OpenStack-Request-ID",
]  # fmt: skip
HEADERS_EXPOSED = [
    "X-Image-Meta-Checksum", "X-Auth-Token", "X-Subject-Token", "X-Service-Token",
    "X-OpenStack-Request-ID",
]  # fmt: skip


ORIGIN = "allowed_origin"


def set_cors_defaults() -> None:
    """Give the options of ``[cors]`` the defaults of the Image API (images.md §1.5)."""
    cors.set_defaults(
        allow_headers=HEADERS_ALLOWED,
        expose_headers=HEADERS_EXPOSED,
        allow_methods=["GET", "PUT", "POST", "DELETE", "PATCH"],
    )


def set_defaults() -> None:
    """Change defaults of libraries for the sample file (entry point)."""
    set_cors_defaults()
    authtoken.set_defaults()


# --- applications ------------------------------------------------------------


def app_factory(global_conf: Strings, **local_conf: str) -> Application:
    """The Image API itself."""
    return service.parts(global_conf).api


def versions_factory(global_conf: Strings, **local_conf: str) -> Application:
    """The version list alone."""
    settings = service.parts(global_conf).settings
    return Identified(Versions(settings), settings)


# Any: PasteDeploy's loader has no type.
def mounts_factory(loader: Any, global_conf: Strings, **local_conf: str) -> Application:
    """Applications by path prefix: ``/healthcheck = name`` in the file.

    Each answer tells its request id, also those of others' applications.
    """
    mounts = Mounts(
        {
            prefix: loader.get_app(name, global_conf=global_conf)
            for prefix, name in local_conf.items()
        }
    )
    return Identified(mounts, service.parts(global_conf).settings)


# --- filters -----------------------------------------------------------------


def faults_factory(global_conf: Strings, **local_conf: str) -> Filter:
    settings = service.parts(global_conf).settings
    return lambda app: Identified(middleware.FaultWrap(app), settings)


def log_factory(global_conf: Strings, **local_conf: str) -> Filter:
    settings = service.parts(global_conf).settings
    return lambda app: Identified(middleware.RequestLog(app), settings)


def negotiation_factory(global_conf: Strings, **local_conf: str) -> Filter:
    settings = service.parts(global_conf).settings
    return lambda app: Identified(middleware.Negotiation(app, settings), settings)


def context_factory(global_conf: Strings, **local_conf: str) -> Filter:
    """The caller from identity headers; only behind something that vouches for them."""
    built = service.parts(global_conf)
    settings, is_admin = built.settings, built.enforcer.is_admin
    return lambda app: Identified(
        middleware.FromHeaders(app, settings, is_admin), settings
    )


def ratelimit_factory(global_conf: Strings, **local_conf: str) -> Filter:
    """429 for a project, or an address, that asks too often."""
    built = service.parts(global_conf)
    behind_proxy = _proxies_are_believed(built.conf)
    options = ratelimit.Options.read(local_conf, behind_proxy=behind_proxy)
    table = ratelimit.table(options, _identity(built.conf))
    return lambda app: Identified(
        ratelimit.RateLimit(app, options, table), built.settings
    )


def gzip_factory(global_conf: Strings, **local_conf: str) -> Filter:
    """Compress JSON for clients that can read it."""
    workers = service.parts(global_conf).workers
    options = compression.Options.read(local_conf)
    return lambda app: compression.Gzip(app, options, workers)


def audit_factory(global_conf: Strings, **local_conf: str) -> Filter:
    """CADF events of what was asked; behind authtoken, which says by whom."""
    built = service.parts(global_conf)
    return lambda app: audit.wrap(
        app, built.conf, local_conf, built.events, service.SHIPPED_AUDIT_MAP
    )


def osprofiler_factory(global_conf: Strings, **local_conf: str) -> Filter:
    """Traces of requests that ask for it with a signature, if enabled."""
    built = service.parts(global_conf)
    files, folders = config.files(built.conf), built.conf.config_dir or ()
    return lambda app: tracing.wrap(app, files, folders, built.database.trace)


def _identity(conf: cfg.ConfigOpts) -> str:
    """What tells this service from others of the same machine, after a restart too."""
    files = [path.absolute() for path in config.files(conf)]
    return f"{files} {conf.config_dir} {conf.bind_host} {conf.bind_port} {conf.bind_socket}"


def development_factory(global_conf: Strings, **local_conf: str) -> Filter:
    settings = service.parts(global_conf).settings
    return lambda app: Identified(middleware.Development(app), settings)


# The filters of others get our configuration as it was read, from all of its files;
# by themselves they would know but one. What the Paste file says to them counts more.


def authtoken_factory(global_conf: Strings, **local_conf: str) -> Filter:
    """Validates tokens with Keystone, sets the identity headers."""
    conf = service.parts(global_conf).conf
    authtoken.set_defaults()
    settings = {"cache": _TOKENS, **local_conf, "oslo_config_config": conf}

    def wrap(app: Application) -> Application:
        # Its options are known only once it is made.
        checking = authtoken.build(app, settings)
        authtoken.check(conf, local_conf)
        if local_conf.get("memcached_servers") or (
            conf.keystone_authtoken.memcached_servers
        ):
            return checking
        return _remembering(checking)

    return wrap


#: Where in a request's environment auth_token finds the cache that it uses.
_TOKENS = "imageservice.tokens"


def _remembering(checking: Application) -> Application:
    """Keep Keystone's answers in this process, where memcached is not configured."""
    tokens = Tokens()

    def remembering(environ: Environ, start_response: StartResponse) -> Body:
        environ[_TOKENS] = tokens
        return checking(environ, start_response)

    return remembering


def cors_factory(global_conf: Strings, **local_conf: str) -> Filter:
    """oslo.middleware's cors, asked only about requests that it can concern."""
    set_cors_defaults()
    conf = service.parts(global_conf).conf

    def wrap(app: Application) -> Application:
        preflight = _cors(middleware.nothing, conf)
        return middleware.CrossOriginOnly(app, _cors(app, conf), preflight)

    return wrap


def _cors(app: Application, conf: cfg.ConfigOpts) -> Application:
    """The filter, with the origins of all sections ``[cors.…]`` beside those of ``[cors]``.

    What such a section leaves out is as in ``[cors]``. The library has given them up.
    """
    filtering = CORS(app, conf)
    for section in conf.list_all_sections():
        if section.startswith(config.CORS_SECTIONS):
            options = copy.deepcopy(cors.OPTS)
            values = {name: conf.cors[name] for name in conf.cors if name != ORIGIN}
            cfg.set_defaults(options, **values)
            conf.register_opts(options, group=section)
            filtering.add_origin(**dict(conf[section]))
    made: Application = filtering
    return made


def proxy_factory(global_conf: Strings, **local_conf: str) -> Filter:
    """oslo.middleware's http_proxy_to_wsgi; not there at all unless it is enabled."""
    conf = service.parts(global_conf).conf

    def wrap(app: Application) -> Application:
        parsing: Application = PROXY(app, conf)
        return parsing if _proxies_are_believed(conf) else app

    return wrap


def _proxies_are_believed(conf: cfg.ConfigOpts) -> bool:
    conf.register_opts(http_proxy_to_wsgi.OPTS, group="oslo_middleware")
    return bool(conf.oslo_middleware.enable_proxy_headers_parsing)
