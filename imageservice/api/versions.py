"""Which versions of the API are offered (contract images.md §3.1)."""

from typing import Any

from imageservice.api import answer
from imageservice.api.answer import Answer, Body, Environ, StartResponse
from imageservice.api.request import base_url
from imageservice.api.settings import Settings

CURRENT = "2.17"
FIRST_GROUP = ("2.15",)
MULTI_STORE = ("2.13", "2.12", "2.11", "2.10")
EVERYWHERE = ("2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0")


def offered(settings: Settings) -> tuple[str, ...]:
    """The minor versions, in the published order: CURRENT is not the first.

    Clients look for exact ids to learn what a deployment can do; a minor version
    never changes what a path does.
    """
    several = MULTI_STORE if settings.stores else ()
    eighth = ("2.8",) if settings.stores else ()
    return (*FIRST_GROUP, *several, "2.9", *eighth, CURRENT, *EVERYWHERE)


class Versions:
    """The version list as an application: 300 at ``/``, 200 when asked for."""

    def __init__(self, settings: Settings) -> None:
        self._versions = offered(settings)
        self._public_endpoint = settings.public_endpoint

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        return self.answer(environ, 300).send(start_response)

    def answer(self, environ: Environ, status: int) -> Answer:
        href = base_url(environ, self._public_endpoint) + "/v2/"
        return answer.json(
            {"versions": [_entry(v, href) for v in self._versions]}, status
        )


def _entry(version: str, href: str) -> dict[str, Any]:
    return {
        "id": f"v{version}",
        "status": "CURRENT" if version == CURRENT else "SUPPORTED",
        "links": [{"rel": "self", "href": href}],
    }
