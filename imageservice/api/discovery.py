"""Handlers of what a client can find out about the service (images.md §15, §17.2)."""

from collections.abc import Callable
from typing import Any

from imageservice import errors
from imageservice.api import answer
from imageservice.api.answer import Answer
from imageservice.api.request import Request
from imageservice.api.schema import documents
from imageservice.api.settings import Store

Handler = Callable[[Request], Answer]


def slash(request: Request) -> Answer:
    """Send ``/v2`` to ``/v2/``, as ever."""
    return Answer(302, [("Location", request.url("/v2/"))])


def import_methods(request: Request) -> Answer:
    """Tell how data can be imported."""
    return answer.json(
        {
            "import-methods": {
                "description": "Import methods that are enabled here.",
                "type": "array",
                "value": request.surface.settings.import_methods,
            }
        }
    )


def stores(request: Request) -> Answer:
    """List the stores that data can be put into."""
    listed = _several(request)
    return answer.json({"stores": [_summary(store) for store in listed]})


def stores_detail(request: Request) -> Answer:
    """List the stores with their settings."""
    _several(request)
    listed = request.services.stores.detail(request.ctx, None)
    return answer.json({"stores": [_detail(store) for store in listed]})


def usage(request: Request) -> Answer:
    """Tell what the caller's project uses of its limits; empty without unified limits."""
    used = request.services.usage.show(request.ctx, None)
    return answer.json({"usage": {name: use._asdict() for name, use in used.items()}})


def _several(request: Request) -> tuple[Store, ...]:
    settings = request.surface.settings
    if not settings.stores:
        raise errors.NotFound()
    return settings.stores


def _summary(store: Store) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": store.id}
    if store.description:
        shown["description"] = store.description
    # Strings, and only when true: so it is published.
    if store.is_default:
        shown["default"] = "true"
    if store.is_read_only:
        shown["read-only"] = "true"
    return shown


def _detail(store: Store) -> dict[str, Any]:
    return {
        **_summary(store),
        "type": store.kind,
        "weight": store.weight,
        "properties": store.properties(),
    }


# --- schemas -----------------------------------------------------------------


def image_schema(request: Request) -> Answer:
    """The schema of an image, with this deployment's formats and properties."""
    return answer.json(request.surface.schema.document)


def images_schema(request: Request) -> Answer:
    """The schema of a page of images."""
    return answer.json(documents.images(request.surface.schema.document))


def fixed_schema(document: documents.Document) -> Handler:
    """Make the handler of a schema that is the same everywhere."""

    def handler(request: Request) -> Answer:
        return answer.json(document)

    return handler
