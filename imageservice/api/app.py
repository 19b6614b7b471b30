"""The API as a WSGI application: match, read, load the target, handle, answer.

One request is one operation on one target. Here stands the only place that turns
errors into answers; what an error means in HTTP is said in ``faults.py``.
"""

import logging
import random
import time
from collections.abc import Iterable, Mapping
from typing import Any

import routes

from imageservice import errors
from imageservice.api import faults
from imageservice.api.answer import Answer, Body, Environ, StartResponse
from imageservice.api.render import Renderer
from imageservice.api.request import Request, Services, Surface
from imageservice.api.routes import ROUTES, Route
from imageservice.api.schema.checks import ImageSchema
from imageservice.api.settings import Settings

LOG = logging.getLogger(__name__)

#: The caller of a request, put there by a filter of the pipeline.
CONTEXT = "imageservice.context"

#: The path as it came, before %2F became a slash, under the servers' names for it.
RAW_PATHS = ("imageservice.raw_path", "RAW_URI", "REQUEST_URI")

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})

#: Times that an operation is begun again because somebody else changed the image.
TRIES = 10

PAUSE_S = 0.005
"""Seconds up to which the second try waits, or as long as the first took if that is more.

The third waits up to twice as long, and so on.
"""

LONGEST_ID = 36

MAPPER: Any = routes.Mapper  # it has no types


class Api:
    """All routes over the outermost rings; one instance serves the process.

    Raises Misconfigured when the schema extension contradicts the base attributes.
    """

    def __init__(
        self,
        services: Services,
        settings: Settings,
        table: Iterable[Route] = ROUTES,
    ) -> None:
        self._services = services
        self._random = random.SystemRandom()
        self._surface = Surface(
            settings,
            ImageSchema(
                settings.container_formats, settings.disk_formats, settings.extension
            ),
            Renderer(settings),
        )
        # Routes keeps text only, so it finds the path and this table the rest.
        self._methods: dict[str, dict[str, Route]] = {}
        for route in table:
            self._methods.setdefault(route.path, {})[route.method] = route
        self._mapper = MAPPER(register=False, always_scan=False)
        self._mapper.minimization = False
        for path in self._methods:
            self._mapper.connect(path, path)
        self._mapper.create_regs()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        return self._answer(environ).send(start_response)

    def _answer(self, environ: Environ) -> Answer:
        """Answer a request, whatever happens: here is the one ``except`` of the API."""
        try:
            return self._operate(environ)
        except errors.Error as error:
            if faults.status_of(type(error)) >= 500:
                LOG.error("%s: %s", type(error).__name__, error)
            return faults.answer_to(error, environ)
        except Exception:
            LOG.exception("%s failed", environ["REQUEST_METHOD"])
            return faults.refusal(500, faults.INTERNAL, environ)

    def _operate(self, environ: Environ) -> Answer:
        ctx = environ.get(CONTEXT)
        if ctx is None:
            raise errors.Unauthorized()
        found = self._match(_path(environ))
        method = environ["REQUEST_METHOD"]
        if found is None:
            if method not in KNOWN_METHODS:
                message = f"The method {method} is not implemented."
                return faults.refusal(501, message, environ)
            raise errors.NotFound()
        methods, parts = found
        route = methods.get(method)
        if route is None:
            return _not_allowed(environ, methods)
        request = Request(environ, ctx, parts, self._services, self._surface)
        request.body = route.takes(request)
        return self._handle(route, request)

    def _handle(self, route: Route, request: Request) -> Answer:
        """Load the target and run the operation, again if the target changed meanwhile."""
        image_id = request.path.get("image_id")
        if image_id is None:
            return route.handler(request)
        for attempt in range(1, TRIES + 1):
            begun = time.monotonic()
            request.image = self._find(request, image_id)
            try:
                return route.handler(request)
            except errors.ImageChanged:
                if route.streams or attempt == TRIES:
                    raise
            # Without it, many that change one image at once would go on in step.
            took_s = time.monotonic() - begun
            time.sleep(self._random.uniform(0, max(PAUSE_S, took_s) * attempt))
        raise AssertionError("the last try returns or raises")

    def _find(self, request: Request, image_id: str) -> Any:
        if len(image_id) > LONGEST_ID:
            raise errors.ImageNotFound(image_id=image_id[:LONGEST_ID] + "...")
        return self._services.images.find(request.ctx, image_id)

    def _match(
        self, path: str | None
    ) -> tuple[Mapping[str, Route], dict[str, str]] | None:
        """Find the methods of a path and the values of its parts."""
        # The mapper's expressions end in $, which lets a last newline pass.
        if path is None or path.endswith("\n"):
            return None
        match = self._mapper.routematch(path)
        if not match:
            return None
        parts, found = match
        return self._methods[found.name], parts


def _path(environ: Environ) -> str | None:
    """The decoded path; None for one that never routes.

    Raises BadRequest for what is not UTF-8 (✗5), and for NUL.
    """
    path: str = environ.get("PATH_INFO", "")
    if not path.isascii():
        try:
            # PEP 3333 hands bytes over as Latin-1 (✗6).
            path = path.encode("latin-1").decode("utf-8")
        except UnicodeError:
            raise errors.BadRequest(reason="The path is not valid UTF-8.") from None
    if "\0" in path:
        raise errors.BadRequest(reason="The path contains a NUL character.")
    # An encoded slash has become a real one by now, and would name another resource.
    raw = next((environ[name] for name in RAW_PATHS if name in environ), "")
    if "%2f" in raw.partition("?")[0].lower():
        return None
    return path


def _not_allowed(environ: Environ, methods: Mapping[str, Route]) -> Answer:
    allow = ", ".join(sorted(methods))
    method = environ["REQUEST_METHOD"]
    message = f"{method} is not possible here, only {allow}."
    return faults.refusal(405, message, environ, [("Allow", allow)])
