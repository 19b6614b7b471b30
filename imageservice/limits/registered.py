"""Reads the limits that are registered in Keystone, through oslo.limit.

The library is used to find and read limits, not to enforce them: its checks count first
and let in afterwards, so that two requests may both pass where there is room for one.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg

from imageservice import configfile, errors
from imageservice.limits.inquiries import Inquiries
from imageservice.limits.seldom import Seldom

LOG = logging.getLogger(__name__)

GROUP = "oslo_limit"
EXTRA = "imageservice[limits]"

TIMEOUT_S = 5
"""What [oslo_limit] timeout is unless it is set: the library itself would wait for ever."""

#: For the sample: what is needed at least. The library knows more options, and others for
#: other types of accounts.
SAMPLE: Sequence[cfg.Opt] = (
    cfg.StrOpt(
        "auth_type",
        sample_default="password",
        help="How the account that reads limits proves itself: one of keystoneauth's "
        "plug-ins. The options below are those of 'password'.",
    ),
    cfg.StrOpt("auth_url", help="Keystone's address."),
    cfg.StrOpt("username", help="The account."),
    cfg.StrOpt("password", secret=True, help="The account's password."),
    cfg.StrOpt("user_domain_name", help="The account's domain."),
    cfg.StrOpt(
        "system_scope",
        sample_default="all",
        help="'all', so that the account sees the limits of all projects; it needs the "
        "role reader on the system.",
    ),
    cfg.StrOpt(
        "endpoint_id",
        help="The id of this service's endpoint in Keystone: its service and region are "
        "those that limits are registered for. Or set endpoint_service_type = image, "
        "endpoint_region_name and endpoint_interface to have it looked up.",
    ),
    cfg.IntOpt(
        "timeout",
        default=TIMEOUT_S,
        min=1,
        help="Seconds that a request waits for its project's limits before it is "
        "answered 503. More ties up more requests while Keystone is slow.",
    ),
)

SYSTEM_READER = (
    "openstack role add --user USER --user-domain DOMAIN --system all reader"
)


class Limits:
    """The limits of projects by their names, as oslo.limit finds them.

    One in a process: the library keeps its options and its connection to itself. Raises
    Misconfigured if it is not there, or misses something in ``[oslo_limit]``.
    """

    def __init__(
        self, conf: cfg.ConfigOpts, clock: Callable[[], float] = time.monotonic
    ) -> None:
        try:
            from keystoneauth1 import exceptions as session_errors
            from openstack import exceptions as sdk_errors
            from oslo_limit import exception, limit
        except ImportError as error:
            reason = f"use_keystone_limits: {error}. Install the extra {EXTRA}."
            raise errors.Misconfigured(reason=reason) from error
        options = limit.CONF
        try:
            _fill(options, conf)
            _check(options)
            _check_names(conf, options)
        except (session_errors.ClientException, cfg.Error, ValueError) as error:
            raise _misconfigured(f"{error}") from error
        limit._SDK_CONNECTION = None
        self.timeout = float(options.oslo_limit.timeout)
        self._make: Any = limit.Enforcer
        self._log = Seldom(LOG, clock)
        self._faults: tuple[type[Exception], ...] = (
            session_errors.ClientException,
            sdk_errors.SDKException,
            exception.SessionInitError,
            OSError,  # what the HTTP library raises
            # Answers that are no JSON, or of another form, and what is not found.
            *(ValueError, LookupError, TypeError, AttributeError),
            NotImplementedError,  # another enforcement model
        )
        self._enforcer: Inquiries[None, Any] = Inquiries(
            self._connect, keep=float("inf"), patience=self.timeout, clock=clock
        )

    def of(self, project_id: str) -> dict[str, int]:
        """What is registered for everybody, and above it what the project has of its own.

        Raises LimitsUnknown.
        """
        try:
            enforcer = self._enforcer.answer(None)
            # Asked for by name, the library makes two requests for each, and fails on
            # one that is not registered; without names it makes two in all.
            found = {
                **dict(enforcer.get_registered_limits(None)),
                **dict(enforcer.get_project_limits(project_id, None)),
            }
            _check_numbers(found)
        except self._faults as error:
            raise self._unknown(error) from error
        return found

    def _connect(self, nothing: None) -> Any:
        """Find the endpoint and the model, with some requests to Keystone."""
        enforcer = self._make(_usage_is_elsewhere, cache=False)
        # The library takes any answer for an endpoint. Without a service it would read
        # the limits of all services.
        found = getattr(enforcer.model, "_utils", None)
        if getattr(found, "_service_id", "unknown") is None:
            raise ValueError(f"the endpoint in [{GROUP}] belongs to no service")
        return enforcer

    def _unknown(self, error: Exception) -> errors.LimitsUnknown:
        self._log.error("the limits of projects are unknown: %s", _words(error))
        return errors.LimitsUnknown()


def _usage_is_elsewhere(project_id: str | None, names: object) -> dict[str, int]:
    raise AssertionError("limits are held in db/usage.py, not by the library")


# Any: the library's configuration object, which has its own types.
def _fill(options: Any, conf: cfg.ConfigOpts) -> None:
    """Give the library the operator's files.

    It reads its options from the global object, and we do not. So that object is filled
    here and nowhere else.
    """
    options(
        [],
        project="imageservice",
        default_config_files=conf.config_file or [],
        default_config_dirs=conf.config_dir or [],
    )
    options.set_default("timeout", TIMEOUT_S, group=GROUP)
    options.set_default("connect_retries", 1, group=GROUP)
    options.set_default("connect_retry_delay", 0.2, group=GROUP)
    options.clear_override("endpoint_id", group=GROUP)
    if not options[GROUP].endpoint_id:
        # The library takes an empty one for the id of an endpoint.
        options.set_override("endpoint_id", None, group=GROUP)


def _check(options: Any) -> None:
    """Raise Misconfigured for what is obviously missing, before anybody is asked."""
    from keystoneauth1 import loading

    # Again, now that the files say whether the account is another section's.
    loading.register_auth_conf_options(options, GROUP)
    account = loading.load_auth_from_conf_options(options, GROUP)
    section = options[GROUP]
    if account is None:
        raise _misconfigured("auth_type is not set")
    if section.timeout < 1:
        raise _misconfigured(f"timeout is {section.timeout}, not at least 1 (second)")
    account_section = options[section.auth_section or GROUP]
    for needed in (("user_id", "username"), ("password",)):
        known = [name for name in needed if name in account_section]
        if known and not any(account_section[name] for name in known):
            raise _misconfigured(f"{known[-1]} is not set")
    if not (
        section.endpoint_id
        or section.endpoint_service_type
        or section.endpoint_service_name
    ):
        raise _misconfigured(
            "endpoint_id is not set, nor endpoint_service_type (image)"
        )


def _check_names(conf: cfg.ConfigOpts, options: Any) -> None:
    """Raise Misconfigured for an option that neither library nor account has."""
    from keystoneauth1 import loading
    from oslo_limit import opts

    [(_, known)] = opts.list_opts()
    known = [*known, *loading.get_auth_common_conf_options()]
    section = options[GROUP]
    kind = options[section.auth_section or GROUP].auth_type
    known += loading.get_auth_plugin_conf_options(kind)
    files = [Path(path) for path in conf.config_file or ()]
    for folder in conf.config_dir or ():
        files += sorted(Path(folder).glob("*.conf"))
    written = [entry for path in files for entry in configfile.entries(path)]
    mine = [entry for entry in written if entry.section == GROUP]
    configfile.check_section(mine, configfile.names(known))


def _misconfigured(what: str) -> errors.Misconfigured:
    return errors.Misconfigured(
        reason=f"[{GROUP}] {what}. use_keystone_limits needs an account that may read "
        "limits, and our endpoint: set auth_type = password, auth_url, username, "
        "password, user_domain_name, system_scope = all and endpoint_id there."
    )


def _check_numbers(found: Mapping[object, object]) -> None:
    for name, limit in found.items():
        if type(limit) is not int:
            raise ValueError(f"the limit {name} is no whole number but {limit!r}")


def _words(error: Exception) -> str:
    """What an operator understands of it."""
    # What answers in Keystone's place may send pages of anything.
    said = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    if isinstance(error, NotImplementedError):
        return "the enforcement model of Keystone is not flat, the only one supported"
    if isinstance(error, TimeoutError):
        return "Keystone has not answered in time"
    # The library wraps what goes wrong in its first requests.
    if {_status(error), _status(error.__context__)} & {401, 403}:
        return (
            f"Keystone refuses the account of [{GROUP}], {said}. It needs to read "
            f"endpoints and the limits of all projects, with system_scope = all after: "
            f"{SYSTEM_READER}"
        )
    return f"Keystone does not answer as it should, {said}"


def _status(error: BaseException | None) -> object:
    """The HTTP status of a fault of the session or of the SDK; None if it has none."""
    return getattr(error, "http_status", getattr(error, "status_code", None))
