"""What a route takes as its body: nothing, anything, or a JSON document.

Each function here can stand in a route's ``takes``: it runs before the target is
looked up, so what is malformed is refused whether the image exists or not.
"""

from typing import Any

import orjson

from imageservice import errors
from imageservice.api.request import Request, content_length, has_body
from imageservice.data.readers import Source


class BodyTooLarge(errors.QuotaExceeded):
    template = "The request's body is larger than {maximum} bytes."


class MediaUnknown(errors.UnsupportedMedia):
    """What is sent is named first, then what should be: see the classes of each route."""

    template = "The request media type '{sent}' is not supported here."


def media_type(request: Request) -> str:
    """The media type of the body without its parameters, "" if it was not told."""
    sent: str = request.environ.get("CONTENT_TYPE") or ""
    return sent.partition(";")[0].strip()


def nothing(request: Request) -> None:
    """Refuse a body."""
    if has_body(request.environ):
        raise errors.BadRequest(reason="A body is not expected with this request.")


def anything(request: Request) -> None:
    """Let a body be: it is not read."""


def document(request: Request) -> dict[str, Any] | list[Any]:
    """Read a JSON object or array, whatever the Content-Type (images.md §1.1)."""
    if not has_body(request.environ):
        raise errors.BadRequest(reason="Body expected in request.")
    text = _read(request, request.surface.settings.max_json_body_size)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # orjson tells what is wrong and where, but nothing of what was sent.
        raise errors.BadRequest(
            reason=f"Malformed JSON in request body: {error}"
        ) from None
    if not isinstance(value, dict | list):
        raise errors.BadRequest(reason="The body must be a JSON object or array.")
    return value


def json_object(request: Request) -> dict[str, Any]:
    """Read a JSON object. An array, too, is the client's mistake (✗2)."""
    value = document(request)
    if not isinstance(value, dict):
        raise errors.BadRequest(reason="The body must be a JSON object.")
    return value


def _read(request: Request, maximum: int) -> bytes:
    length = content_length(request.environ)
    if length is not None and length > maximum:
        raise BodyTooLarge(maximum=maximum)
    left = maximum + 1 if length is None else length
    source = Source(request.environ["wsgi.input"])
    pieces = []
    while left > 0 and (piece := source.read(left)):
        pieces.append(bytes(piece))
        left -= len(piece)
    if length is not None and left:
        raise errors.BodyBroken(reason=f"{left} of {length} bytes are missing")
    if length is None and left <= 0:
        raise BodyTooLarge(maximum=maximum)
    return b"".join(pieces)
