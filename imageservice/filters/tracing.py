"""Traces of single requests, by osprofiler, for who can sign what asks for them.

The library is an extra, and loaded only when the filter stands in the pipeline.
"""

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from oslo_config import cfg

from imageservice import errors
from imageservice.api.answer import Application, Body, Environ, StartResponse

LOG = logging.getLogger(__name__)

UNSAFE_KEY = "SECRET_KEY"
"""The default of ``hmac_keys``, which all the world knows."""

INFO, SIGNATURE = "HTTP_X_TRACE_INFO", "HTTP_X_TRACE_HMAC"

#: Has a function called with SQLAlchemy and each of its engines.
TraceDatabase = Callable[[Callable[[Any, Any], None]], None]


def wrap(
    app: Application,
    files: Sequence[Path],
    folders: Sequence[str],
    trace_database: TraceDatabase,
) -> Application:
    """Put the filter round ``app`` if ``[profiler] enabled`` is true.

    ``files`` and ``folders`` are those of the configuration. Raises Misconfigured.
    """
    library = _library()
    options = _options(library, files, folders)
    profiler = options.profiler
    if not profiler.enabled:
        return app
    keys = [key.strip() for key in profiler.hmac_keys.split(",") if key.strip()]
    if not keys or UNSAFE_KEY in keys:
        _refuse(
            f"hmac_keys: '{UNSAFE_KEY}' is what everybody would try, and without keys "
            "nobody could sign. Set one or more secrets, separated by commas"
        )
    library["notifier"].set(Storage(_driver(library, options)))
    if profiler.trace_requests:
        library["requests"].enable()
    if profiler.trace_sqlalchemy:
        add = library["sqlalchemy"].add_tracing
        trace_database(lambda sqlalchemy, engine: add(sqlalchemy, engine, "db"))
    traced = library["web"].WsgiMiddleware(app, hmac_keys=",".join(keys), enabled=True)
    return SignedOnly(app, traced)


# Any: modules of a library without types of its own here.
def _library() -> Mapping[str, Any]:
    try:
        from osprofiler import notifier, opts, requests, sqlalchemy, web
        from osprofiler.drivers import base
    except ImportError as error:
        raise errors.Misconfigured(
            reason=f"the filter osprofiler: {error}. Install imageservice[profiler], or "
            "take the filter out of the pipeline."
        ) from error
    return {
        "notifier": notifier, "opts": opts, "requests": requests, "web": web,
        "sqlalchemy": sqlalchemy, "drivers": base,
    }  # fmt: skip


def _options(
    library: Mapping[str, Any], files: Sequence[Path], folders: Sequence[str]
) -> cfg.ConfigOpts:
    """Read the library's options into an object of their own.

    Its drivers register what they like, and options of oslo.messaging that are ours, too.
    """
    conf = cfg.ConfigOpts()
    try:
        conf(
            [],
            default_config_files=[str(path) for path in files],
            default_config_dirs=list(folders),
        )
        for group, options in library["opts"].list_opts():
            conf.register_opts(options, group=group)
            for option in options:
                conf[group][option.dest]  # read now: a bad value ends the start
    except (cfg.Error, ValueError) as error:
        _refuse(" ".join(str(error).split()))
    return conf


def _driver(library: Mapping[str, Any], options: cfg.ConfigOpts) -> Any:
    # With debug it would write the connection into the log, password and all.
    logging.getLogger(library["drivers"].__name__).setLevel(logging.INFO)
    try:
        return library["drivers"].get_driver(
            options.profiler.connection_string,
            project="imageservice",
            service="api",
            host=socket.gethostname(),
            context={},
            conf=options,
        )
    except Exception as error:  # whatever a dozen drivers and their libraries raise
        # Not its text: it may hold the connection, and so a password.
        _refuse(
            f"connection_string: there is no driver for it, or its library is missing "
            f"({type(error).__name__}). Correct it, or install the library"
        )


def _refuse(why: str) -> NoReturn:
    raise errors.Misconfigured(reason=f"[profiler] {why}.")


class Storage:
    """Gives traces to a driver. A request never fails because of its trace."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def __call__(self, info: Mapping[str, Any], **more: Any) -> None:
        try:
            self._driver.notify(info, **more)
        except Exception as error:  # see _driver
            LOG.warning("a trace could not be stored: %s", type(error).__name__)


class SignedOnly:
    """Go through the library's filter when a trace is asked for; others do not pay."""

    def __init__(self, app: Application, traced: Application) -> None:
        self._app = app
        self._traced = traced

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        info, signature = environ.get(INFO), environ.get(SIGNATURE)
        # It cannot compare signatures that are not ASCII.
        if info and signature and info.isascii() and signature.isascii():
            return self._traced(environ, start_response)
        return self._app(environ, start_response)
