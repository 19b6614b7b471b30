"""Locations as clients name them: handlers, and what a patch says (images.md §14)."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import fastjsonschema

from imageservice import errors
from imageservice.api import answer, body, words
from imageservice.api.answer import Answer
from imageservice.api.request import Request
from imageservice.api.schema import documents
from imageservice.domain.changes import Change
from imageservice.domain.proposals import Digests, Proposal

#: What ``os_hash_algo`` may be in a request that registers a location.
ALGORITHMS = ("md5", "sha1", "sha256", "sha512")

_PLACE = re.compile("[0-9]{1,9}")

_BODY: documents.Document = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "maxLength": 4096},
        "validation_data": {
            "type": "object",
            "properties": {
                "os_hash_algo": {"enum": list(ALGORITHMS)},
                "os_hash_value": {"type": "string", "maxLength": 128},
            },
            "additionalProperties": False,
            "dependencies": {
                "os_hash_algo": ["os_hash_value"],
                "os_hash_value": ["os_hash_algo"],
            },
        },
    },
    "required": ["url"],
}
_check_body: Any = fastjsonschema.compile(_BODY)  # it has no types


def proposed(request: Request) -> Proposal:
    """Read ``{"url": ..., "validation_data": {...}}`` (contract images.md §14.2)."""
    document = body.json_object(request)
    try:
        _check_body(document)
    except fastjsonschema.JsonSchemaValueException as error:
        said = str(error.message).removeprefix("data.").removeprefix("data ")
        raise errors.BadRequest(
            reason=f"The body must name a location: {said}"
        ) from None
    return _proposal(document["url"], {}, document.get("validation_data"))


def index(request: Request) -> Answer:
    """List where an image's data lies."""
    places = request.services.locations.list(request.ctx, request.image)
    return answer.json(request.surface.render.locations(places))


def add(request: Request) -> Answer:
    """Let a queued image have the data that lies at a location."""
    request.services.locations.add(request.ctx, request.image, request.body)
    return Answer(202, [])


def change(
    request: Request,
    verb: Literal["add", "replace", "remove"],
    places: list[str],
    operation: Mapping[str, Any],
) -> Change:
    """Read one operation of a patch on locations; ``places`` follow in its pointer.

    Raises BadRequest, and AttributeReadOnly unless the operator allows such patches.
    """
    if not request.surface.settings.show_multiple_locations:
        raise errors.AttributeReadOnly(name="locations")
    place = _place(places[0]) if places else None
    if verb == "remove":
        if place is None:
            raise errors.BadRequest(
                reason="Name the location to be removed by a number."
            )
        return Change("remove", "locations", place=place)
    if "value" not in operation:
        raise errors.BadRequest(reason=f"'{verb}' needs a 'value'.")
    value = operation["value"]
    values = [value] if places else value
    request.surface.schema.check({"locations": values}, whole=False)
    proposals = tuple(_described(each) for each in values)
    return Change(verb, "locations", proposals[0] if places else proposals, place)


def _place(text: str) -> int | None:
    if text == "-":
        return None
    if not _PLACE.fullmatch(text):
        raise errors.BadRequest(reason="The place of a location is a number, or '-'.")
    return int(text)


def _described(value: Mapping[str, Any]) -> Proposal:
    """A location of a patch, which the schema has checked."""
    words.check_metadata(value["metadata"])
    # Which store it is in, the service finds out and shows.
    metadata = {name: v for name, v in value["metadata"].items() if name != "store"}
    return _proposal(value["url"], metadata, value.get("validation_data"))


def _proposal(
    url: str, metadata: Mapping[str, Any], said: Mapping[str, str] | None
) -> Proposal:
    words.check_text("The URL of a location", url)
    if not url.isprintable():
        raise errors.BadRequest(reason="The URL of a location must be printable.")
    digests = {
        # Hex in lower case is what everything else is compared with.
        name: text if name == "os_hash_algo" else text.lower()
        for name, text in (said or {}).items()
    }
    return Proposal(url, metadata, Digests(**digests) if digests else None)
