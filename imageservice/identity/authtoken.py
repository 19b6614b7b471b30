"""Checks tokens with Keystone, by keystonemiddleware, in bounded time.

What is added to it: a Keystone that is down, slow or answers nonsense makes a 503 in our
own form, never a 500 and never a token that seems to be wrong; and nothing but an answer
that can be understood is kept in the cache.
"""

import functools
import importlib.util
import logging
import re
from collections.abc import Mapping
from typing import Any

from keystoneauth1 import access
from keystoneauth1 import exceptions as keystone
from keystonemiddleware import auth_token
from oslo_cache import exception as cache
from oslo_config import cfg

from imageservice import errors
from imageservice.api import faults
from imageservice.api.answer import Application, Body, Environ, StartResponse
from imageservice.identity.patience import Patience

LOG = logging.getLogger(__name__)

GROUP = "keystone_authtoken"

#: What may be handed to Keystone as a token: what fits into a header of its web server.
TOKEN = re.compile(r"[\x21-\x7e]{1,8000}")

DEFAULT_TIMEOUT_S = 5
"""Seconds, of one request to Keystone; also where an operator has set none."""

#: What keystonemiddleware leaves open or generous: it would wait for ever for a Keystone
#: that accepts connections and says nothing, and 10 s for a place at memcached. The
#: catalog would be read from Keystone with each token, kept with it, and written into
#: each request; nobody here looks at it.
DEFAULTS: Mapping[str, object] = {
    "http_connect_timeout": DEFAULT_TIMEOUT_S,
    "http_request_max_retries": 1,
    "memcache_pool_socket_timeout": 1,
    "memcache_pool_conn_get_timeout": 1,
    "service_type": "image",
    "include_service_catalog": False,
}

#: What somebody else's code raises over an answer that is not what it should be.
NONSENSE = (LookupError, TypeError, ValueError, AttributeError, RuntimeError)

#: How asking Keystone fails, and how asking memcached does.
TROUBLE = (
    auth_token.ServiceError, keystone.ClientException, TimeoutError, *NONSENSE,
)  # fmt: skip
CACHE_TROUBLE = (cache.QueueEmpty, OSError, *NONSENSE)

#: What a token may be for; one without any is unscoped, one for the system has neither.
SCOPES = ("project", "domain")

#: Statuses with which a web server refuses the token itself.
REFUSALS = (400, 413, 414, 431)

# keystonemiddleware has no types.
AuthProtocol: Any = auth_token.AuthProtocol


def set_defaults() -> None:
    """Give options of ``[keystone_authtoken]`` our defaults, in the sample file too."""
    for group, options in auth_token.AUTH_TOKEN_OPTS:
        if group == GROUP:
            cfg.set_defaults(options, **DEFAULTS)


def build(app: Application, settings: Mapping[str, object]) -> "AuthToken":
    """Make the filter. Raises Misconfigured if the account is not told as it must be."""
    try:
        return AuthToken(app, dict(settings))
    except keystone.ClientException as error:
        raise errors.Misconfigured(
            reason=f"[{GROUP}] auth_type, or what it needs: {error}. Correct the "
            "section."
        ) from error


class AuthToken(AuthProtocol):  # type: ignore[misc]  # it is Any
    """The filter ``authtoken``: marks requests with who sends them.

    ``settings`` are those of the Paste file, and ``oslo_config_config``.
    """

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        # Not among the headers that keystonemiddleware removes by itself.
        environ.pop("HTTP_OPENSTACK_SYSTEM_SCOPE", None)
        try:
            body: Body = super().__call__(environ, start_response)
        except errors.KeystoneUnavailable as error:
            return faults.answer_to(error, environ).send(start_response)
        return body

    def process_request(self, request: Any) -> Any:
        try:
            answer = super().process_request(request)
            if request.token_info:
                _restore_scope(request)
        except NONSENSE as error:
            LOG.exception("Keystone's answer cannot be understood")
            raise errors.KeystoneUnavailable from error
        return answer

    def validate_allowed_request(self, request: Any, token: Mapping[str, Any]) -> None:
        # To see whether the service is in the catalog says nothing of the access rules;
        # without a catalog they hold all the same.
        if "catalog" not in token:
            token = {**token, "catalog": [{"type": self._conf.get("service_type")}]}
        super().validate_allowed_request(request, token)

    def _create_identity_server(self) -> "Checked":
        timeout = self._conf.get("http_connect_timeout") or DEFAULT_TIMEOUT_S
        retries = max(0, self._conf.get("http_request_max_retries") or 0)
        # A silent Keystone is given up by the timeouts, which say more of the reason.
        patience = Patience(float(timeout) * (retries + 2))
        return Checked(super()._create_identity_server(), patience)

    def _token_cache_factory(self) -> Any:
        made = super()._token_cache_factory()
        return Forgiving(made) if self._conf.get("memcached_servers") else made


def _restore_scope(request: Any) -> None:
    """Let the scope be the user's: that of a service token is written over it."""
    system = request.token_info["token"].get("system") or {}
    if system.get("all"):
        request.headers["OpenStack-System-Scope"] = "all"
    else:
        request.headers.pop("OpenStack-System-Scope", None)


class Checked:
    """Keystone as keystonemiddleware asks it; what it answers is looked at first."""

    def __init__(self, inner: Any, patience: Patience) -> None:
        self._inner = inner
        self._patience = patience

    # Any: the rest of what keystonemiddleware asks.
    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def verify_token(self, user_token: str, **options: Any) -> dict[str, Any]:
        """Return Keystone's answer for a token.

        Raises InvalidToken when there is no such token, KeystoneUnavailable when nobody
        can tell.
        """
        if not TOKEN.fullmatch(user_token):
            raise auth_token.InvalidToken("malformed")
        try:
            answer: dict[str, Any] = self._patience.call(
                functools.partial(self._inner.verify_token, user_token, **options)
            )
            _understand(answer)
        except auth_token.InvalidToken:
            raise
        except TROUBLE as error:
            # keystonemiddleware says no more than "failed"; the reason is behind it.
            cause = error.__context__ or error
            if getattr(cause, "http_status", None) in REFUSALS:
                raise auth_token.InvalidToken("refused") from error
            LOG.error(
                "Keystone cannot check a token: %s: %s", type(cause).__name__, cause
            )
            raise errors.KeystoneUnavailable from error
        return answer


def _understand(answer: dict[str, Any]) -> None:
    """Raise one of NONSENSE unless an answer tells all that is read of it later."""
    token = access.create(body=answer)
    texts = [token.user_id, token.username, *(token.role_names or ())]
    texts += [answer["token"][kind]["id"] for kind in SCOPES if kind in answer["token"]]
    if not all(isinstance(text, str) and text for text in texts):
        raise ValueError("a user, a role, a project or a domain without a name or id")
    if not isinstance(token.user_domain_id, str | None):
        raise ValueError("the user's domain is no text")
    catalog = answer["token"].get("catalog") or []
    if not all(isinstance(service, dict) for service in catalog):
        raise ValueError("the catalog is no list of services")
    token.will_expire_soon(stale_duration=0)


class Forgiving:
    """A cache in memcached without which things go on, only slower."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def initialize(self, environ: Environ) -> None:
        self._inner.initialize(environ)

    def get(self, token: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] | None = self._inner.get(token)
            if found is not None:
                _understand(found)
        except CACHE_TROUBLE as error:
            LOG.warning("memcached gave no answer about a token: %r", error)
            return None
        return found

    def set(self, token: str, answer: dict[str, Any]) -> None:
        try:
            self._inner.set(token, answer)
        except CACHE_TROUBLE as error:
            LOG.warning("memcached took no answer about a token: %r", error)


def check(conf: cfg.ConfigOpts, settings: Mapping[str, object]) -> None:
    """Raise Misconfigured for a start after which every request would end in a 500.

    ``settings`` are those of the Paste file, which count more than ``conf``.
    """
    section = conf[GROUP]
    told = {name: value for name, value in section.items() if value} | dict(settings)
    if not told.keys() & {"auth_type", "auth_section"}:
        raise errors.Misconfigured(
            reason=f"[{GROUP}] auth_type: tokens cannot be checked without an "
            "account in Keystone. Set auth_type = password, auth_url, username, "
            "password, project_name, user_domain_name and project_domain_name there, or "
            "choose another pipeline with [paste_deploy] flavor."
        )
    if told.get("memcached_servers"):
        _check_memcached(told)


def _check_memcached(told: Mapping[str, object]) -> None:
    needed, package = "memcache", "imageservice[memcached]"
    if told.get("memcache_tls_enabled") or told.get("memcache_sasl_enabled"):
        needed, package = "bmemcached", "python-binary-memcached"
    if importlib.util.find_spec(needed) is None:
        raise errors.Misconfigured(
            reason=f"[{GROUP}] memcached_servers: the client library is missing. Install "
            f"it, pip install '{package}', or remove the option."
        )
