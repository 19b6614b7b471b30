"""What a Paste file names: factories of our applications and filters.

Paste hands factories nothing but strings. The service that they need is built by
``service.py`` from the configuration files named there, once per process.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from imageservice.api import middleware
from imageservice.api.answer import Application
from imageservice.api.versions import Versions

if TYPE_CHECKING:
    from imageservice.service import Service

Strings = dict[str, str]
Filter = Callable[[Application], Application]


def _service(global_conf: Strings) -> "Service":
    # Not at the top: service.py imports the application that these factories serve.
    from imageservice import service

    return service.parts(global_conf)


def app_factory(global_conf: Strings, **local_conf: str) -> Application:
    return _service(global_conf).api


def versions_factory(global_conf: Strings, **local_conf: str) -> Application:
    settings = _service(global_conf).settings
    return middleware.Identified(Versions(settings), settings)


def faults_factory(global_conf: Strings, **local_conf: str) -> Filter:
    settings = _service(global_conf).settings

    def wrap(app: Application) -> Application:
        return middleware.Identified(middleware.FaultWrap(app), settings)

    return wrap


def negotiation_factory(global_conf: Strings, **local_conf: str) -> Filter:
    settings = _service(global_conf).settings

    def wrap(app: Application) -> Application:
        return middleware.Identified(middleware.Negotiation(app, settings), settings)

    return wrap


def context_factory(global_conf: Strings, **local_conf: str) -> Filter:
    service = _service(global_conf)

    def wrap(app: Application) -> Application:
        context = middleware.FromHeaders(
            app, service.settings, service.enforcer.is_admin
        )
        return middleware.Identified(context, service.settings)

    return wrap


def development_factory(global_conf: Strings, **local_conf: str) -> Filter:
    settings = _service(global_conf).settings

    def wrap(app: Application) -> Application:
        return middleware.Identified(middleware.Development(app), settings)

    return wrap
