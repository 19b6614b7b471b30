"""CADF events of requests, made by keystonemiddleware.audit, without what is secret.

They go where the other events go if a message broker is configured for them, so that
nobody waits for it; else into the log, a line of JSON each.
"""

import configparser
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import orjson
from oslo_config import cfg

from imageservice import errors
from imageservice.api.answer import Application, Body, Environ, StartResponse
from imageservice.notifications import events

GROUP = "audit_middleware_notifications"

OPTIONS = (
    "audit_map_file", "ignore_req_list", "ignore_path_list", "service_name", "log_name",
)  # fmt: skip

BROKER = frozenset({"messaging", "messagingv2"})

#: What the events must not hold: tokens would be cut short, not left out, and an address
#: that the client wrote itself would be believed. The filters behind see them.
HIDDEN = ("HTTP_X_AUTH_TOKEN", "HTTP_X_SERVICE_TOKEN", "HTTP_X_FORWARDED_FOR")
_KEPT = "imageservice.audit.hidden"

_CATALOG = "HTTP_X_SERVICE_CATALOG"

#: Stands for the catalog when there is none; then events name the service all the same.
_NO_CATALOG = (
    '[{"type": "image", "name": "imageservice", "endpoints": [{"id": "imageservice"}]}]'
)


class Log:
    """Writes each event as one line of JSON."""

    def __init__(self, name: str) -> None:
        self._log = logging.getLogger(name)

    def notify(
        self, context: object, event_type: str, payload: Mapping[str, Any]
    ) -> None:
        self._log.info("%s %s", event_type, orjson.dumps(payload).decode())


class Publisher:
    """Hands each event to the service's own notifications."""

    def __init__(self, sink: events.Events) -> None:
        self._sink = sink

    def notify(
        self, context: object, event_type: str, payload: Mapping[str, Any]
    ) -> None:
        if self._sink.wants(event_type):
            self._sink.emit(event_type, payload)


def wrap(
    app: Application,
    conf: cfg.ConfigOpts,
    given: Mapping[str, str],
    sink: events.Events,
    shipped_map: Path,
) -> Application:
    """Put the filter round ``app``; ``given`` is its section of the Paste file.

    Raises Misconfigured: an option is unknown, the map cannot be read.
    """
    library = _library()
    for name in given:
        if name not in OPTIONS:
            _refuse(f"{name}: there is no such option, only {', '.join(OPTIONS)}")
    for group, options in library.list_opts():
        conf.register_opts(options, group=group)
    path = given.get("audit_map_file") or str(shipped_map)
    settings = {
        **given,
        "audit_map_file": path,
        # Or it would make a transport of its own, which waits for the broker.
        "use_oslo_messaging": "false",
        "oslo_config_config": conf,
    }
    try:
        audited = library.AuditMiddleware(_Unhidden(app), **settings)
    except (OSError, configparser.Error, library.PycadfAuditApiConfigError) as error:
        _refuse(f"audit_map_file: {path}: {' '.join(str(error).split())}")
    audited._notifier = _notifier(conf, sink, given.get("log_name", __name__))
    return _Hidden(audited)


# Any: it has no types.
def _library() -> Any:
    """Load it now: nobody else needs it, and it registers global options."""
    from keystonemiddleware import audit

    return audit


def _notifier(
    conf: cfg.ConfigOpts, sink: events.Events, log_name: str
) -> Log | Publisher:
    section = conf[GROUP]
    for name in ("topics", "transport_url"):
        if section[name]:
            _refuse(
                f"[{GROUP}] {name}: audit events go the way of all events. Set it in "
                f"[{events.GROUP}]"
            )
    drivers = {section.driver} if section.driver else {*conf[events.GROUP].driver}
    published = drivers & BROKER & {*conf[events.GROUP].driver}
    if drivers & BROKER and section.use_oslo_messaging and not published:
        _refuse(f"[{GROUP}] driver: set [{events.GROUP}] driver, too")
    return (
        Publisher(sink) if published and section.use_oslo_messaging else Log(log_name)
    )


def _refuse(why: str) -> NoReturn:
    raise errors.Misconfigured(reason=f"the filter of audit_factory, {why}.")


class _Hidden:
    """Takes out of a request what events must not hold."""

    def __init__(self, audited: Application) -> None:
        self._audited = audited

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        environ[_KEPT] = {name: environ.pop(name, None) for name in HIDDEN}
        environ.setdefault(_CATALOG, _NO_CATALOG)
        return self._audited(environ, start_response)


class _Unhidden:
    """Puts it back for the filters behind, until they have answered."""

    def __init__(self, app: Application) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        kept = environ.pop(_KEPT)
        environ.update({name: value for name, value in kept.items() if value})
        try:
            return self._app(environ, start_response)
        finally:
            for name in HIDDEN:
                environ.pop(name, None)
