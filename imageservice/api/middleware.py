"""Filters of the pipeline: request ids, version negotiation, and who is asking.

Plain WSGI: they stand before every request, so they make no request objects. The
factories that a Paste file names are in ``pipeline.py``.
"""

import logging
import time
import urllib.parse
import uuid
from collections.abc import Callable
from typing import Any

from imageservice import errors
from imageservice.api import faults
from imageservice.api.answer import Answer, Application, Body, Environ, StartResponse
from imageservice.api.app import CONTEXT
from imageservice.api.settings import Settings
from imageservice.api.versions import Versions, offered
from imageservice.context import Context

LOG = logging.getLogger(__name__)

#: Where the filters of oslo.middleware keep the request id, too.
REQUEST_ID = "openstack.request_id"

#: Where tokens come in.
TOKENS = {"HTTP_X_AUTH_TOKEN", "HTTP_X_STORAGE_TOKEN", "HTTP_X_SERVICE_TOKEN"}

IsAdmin = Callable[[Context], bool]


class Identified:
    """Give every request an id, and every answer the header that tells it (✗7).

    The outermost of our filters does it, whichever that is: the others find the id.
    """

    def __init__(self, app: Application, settings: Settings) -> None:
        self._app = app
        self._longest = settings.max_request_id_length

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        if REQUEST_ID in environ:
            return self._app(environ, start_response)
        sent = environ.get("HTTP_X_OPENSTACK_REQUEST_ID")
        too_long = sent is not None and 0 < self._longest < len(sent)
        if not sent or too_long:
            request_id = f"req-{uuid.uuid4()}"
        else:
            request_id = sent if sent.startswith("req-") else f"req-{sent}"
        environ[REQUEST_ID] = request_id

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            identified = [*headers, ("x-openstack-request-id", request_id)]
            return start_response(status, identified, *exc_info)

        if too_long:
            message = f"A request id may be {self._longest} characters long."
            return faults.refusal(431, message, environ).send(start)
        return self._app(environ, start)


class RequestLog:
    """One line for each answer: who asked for what, the status, how long it took.

    Written when the answer begins, so that a download is noted while it goes on. The
    query stays out of it: it may hold values that are nobody's business.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        began = time.monotonic()

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            LOG.info(
                "%s %s %s: %s, %s bytes, %.3f s, %s",
                environ.get("REMOTE_ADDR") or "-",
                environ["REQUEST_METHOD"],
                urllib.parse.quote(environ.get("PATH_INFO", ""), encoding="latin-1"),
                status.partition(" ")[0],
                next((v for n, v in headers if n == "Content-Length"), "-"),
                time.monotonic() - began,
                environ.get(REQUEST_ID, "-"),
            )
            return start_response(status, headers, *exc_info)

        return self._app(environ, start)


class CrossOriginOnly:
    """Go through a CORS filter when there is an Origin; it changes nothing else.

    It costs more than a show of an image. OPTIONS goes to ``preflight`` and no further:
    browsers ask it without a token (contract images.md §1.5).
    """

    def __init__(
        self, app: Application, cors: Application, preflight: Application
    ) -> None:
        self._app = app
        self._cors = cors
        self._preflight = preflight

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return self._preflight(environ, start_response)
        if "HTTP_ORIGIN" in environ:
            return self._cors(environ, start_response)
        return self._app(environ, start_response)


def nothing(environ: Environ, start_response: StartResponse) -> Body:
    """An application that answers 200 and says nothing."""
    return Answer(200, []).send(start_response)


class FaultWrap:
    """Answer 500, without detail, when a filter further in fails (the API itself does not)."""

    def __init__(self, app: Application) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        try:
            return self._app(environ, start_response)
        except Exception:
            LOG.exception("%s failed in a filter", environ["REQUEST_METHOD"])
            refusal = faults.refusal(500, faults.INTERNAL, environ)
            return refusal.send(start_response)


class Negotiation:
    """Send every request to a version of the API, or answer with the list of them.

    Every minor version is an alias of ``/v2`` (contract images.md §3.2).
    """

    ACCEPT = "application/vnd.openstack.images-"

    def __init__(self, app: Application, settings: Settings) -> None:
        self._app = app
        self._versions = Versions(settings)
        self._enabled = {"v2", *(f"v{version}" for version in offered(settings))}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        path = environ.get("PATH_INFO", "").lstrip("/")
        segment, slash, rest = path.partition("/")
        accept = environ.get("HTTP_ACCEPT", "")
        if accept.startswith(self.ACCEPT):
            # The header wins, and the path is used as it is.
            segment, slash, rest = accept.removeprefix(self.ACCEPT), "/", path
        elif segment == "versions":
            return self._versions.answer(environ, 200).send(start_response)
        if segment not in self._enabled:
            return self._versions.answer(environ, 300).send(start_response)
        # Scripts write "$ENDPOINT/images" whether the endpoint ends in a slash or not.
        environ["PATH_INFO"] = f"/v2{slash}{rest.lstrip('/')}"
        return self._app(environ, start_response)


class FromHeaders:
    """Build the caller from the identity headers that authtoken sets.

    They are believed: never run this without authtoken, or a gateway that strips
    them from what comes in, in front.
    """

    def __init__(self, app: Application, settings: Settings, is_admin: IsAdmin) -> None:
        self._app = app
        self._is_admin = is_admin
        self._anonymous_allowed = settings.allow_anonymous_access

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        status = environ.get("HTTP_X_IDENTITY_STATUS")
        # A service token that is not good is no small matter: for the sake of one,
        # whatever it is, authtoken lets an application credential's access rules be.
        service_status = environ.get("HTTP_X_SERVICE_IDENTITY_STATUS")
        if status == "Confirmed" and service_status != "Invalid":
            environ[CONTEXT] = self._confirmed(environ)
        elif self._anonymous_allowed and not environ.keys() & TOKENS:
            # Who sends a token wants to be somebody: told nothing about it being old,
            # they would take the little that anybody sees for all that they have.
            environ[CONTEXT] = Context(
                read_only=True, request_id=environ.get(REQUEST_ID)
            )
        else:
            refusal = faults.answer_to(errors.Unauthorized(), environ)
            return refusal.send(start_response)
        return self._app(environ, start_response)

    def _confirmed(self, environ: Environ) -> Context:
        get = environ.get
        ctx = Context(
            auth_token=get("HTTP_X_AUTH_TOKEN") or get("HTTP_X_STORAGE_TOKEN"),
            user_id=get("HTTP_X_USER_ID"),
            user_name=get("HTTP_X_USER_NAME"),
            user_domain_id=get("HTTP_X_USER_DOMAIN_ID"),
            project_id=get("HTTP_X_PROJECT_ID") or get("HTTP_X_TENANT_ID"),
            project_name=get("HTTP_X_PROJECT_NAME"),
            project_domain_id=get("HTTP_X_PROJECT_DOMAIN_ID"),
            domain_id=get("HTTP_X_DOMAIN_ID"),
            system_scope=get("HTTP_OPENSTACK_SYSTEM_SCOPE"),
            roles=_words(get("HTTP_X_ROLES")),
            service_user_id=get("HTTP_X_SERVICE_USER_ID"),
            service_project_id=get("HTTP_X_SERVICE_PROJECT_ID"),
            service_roles=_words(get("HTTP_X_SERVICE_ROLES")),
            request_id=get(REQUEST_ID),
        )
        ctx.is_admin = self._is_admin(ctx)
        return ctx


def _words(header: str | None) -> list[str]:
    if not header:
        return []
    return [word for item in header.split(",") if (word := item.strip())]


class Development:
    """Make every caller the one administrator of a service that only you can reach."""

    PROJECT = "d" * 32
    USER = "e" * 32

    def __init__(self, app: Application) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        environ[CONTEXT] = Context(
            user_id=self.USER,
            project_id=self.PROJECT,
            user_domain_id="default",
            project_domain_id="default",
            roles=("admin", "member", "reader"),
            is_admin=True,
            request_id=environ.get(REQUEST_ID),
        )
        return self._app(environ, start_response)
