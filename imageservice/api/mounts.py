"""Applications by path prefix, for the outermost part of the pipeline."""

from collections.abc import Mapping

from imageservice.api import faults
from imageservice.api.answer import Application, Body, Environ, StartResponse


class Mounts:
    """Hand each request to the application with the longest prefix of its path.

    A prefix ends at a slash or at the end of the path, and moves from PATH_INFO to
    SCRIPT_NAME, so that links made further in keep it.
    """

    def __init__(self, applications: Mapping[str, Application]) -> None:
        by_length = sorted(applications, key=len, reverse=True)
        self._mounted = [(p.rstrip("/"), applications[p]) for p in by_length]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        path = environ.get("PATH_INFO", "")
        for prefix, app in self._mounted:
            if not prefix or path == prefix or path.startswith(prefix + "/"):
                if prefix:
                    environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
                    environ["PATH_INFO"] = path[len(prefix) :]
                return app(environ, start_response)
        message = "There is nothing at this path."
        return faults.refusal(404, message, environ).send(start_response)
