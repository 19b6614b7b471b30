"""Both JSON-patch media types, to the changes they ask for (contract images.md §8.4).

Here is syntax, and what the schema says; what an image's state allows is decided in
``domain/changes.py``.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from imageservice import errors
from imageservice.api import body, locations, words
from imageservice.api.request import Request
from imageservice.domain import changes
from imageservice.domain import image as images
from imageservice.domain.changes import Change

V20 = "application/openstack-images-v2.0-json-patch"
V21 = "application/openstack-images-v2.1-json-patch"
ACCEPTED = f"{V20}, {V21}"

MOST_OPERATIONS = 512

Verb = Literal["add", "replace", "remove"]
VERBS: Mapping[str, Verb] = {"add": "add", "replace": "replace", "remove": "remove"}

BAD_ESCAPE = re.compile("~(?![01])")


class PatchUnknown(body.MediaUnknown):
    template = (
        body.MediaUnknown.template
        + f" An image is patched with Content-Type {V20} or {V21}."
    )
    headers = (("Accept-Patch", ACCEPTED),)


def requested(request: Request) -> tuple[Change, ...]:
    """Read the body of a PATCH. All operations are checked before any is applied.

    Raises PatchUnknown, BadRequest, AttributeReadOnly, AttributeReserved.
    """
    media_type = body.media_type(request)
    # Compared case-sensitively, as the incumbent does.
    if media_type not in (V20, V21):
        raise PatchUnknown(sent=media_type[:100])
    operations = body.document(request)
    if not isinstance(operations, list):
        raise errors.BadRequest(reason="A patch must be a JSON array of operations.")
    if len(operations) > MOST_OPERATIONS:
        raise errors.BadRequest(
            reason=f"A patch may hold at most {MOST_OPERATIONS} operations."
        )
    read = _read_v20 if media_type == V20 else _read_v21
    return tuple(_change(request, operation, read) for operation in operations)


def _change(request: Request, operation: Any, read: Any) -> Change:
    if not isinstance(operation, dict):
        raise errors.BadRequest(reason="Each operation must be a JSON object.")
    verb, pointer = read(operation)
    if not isinstance(pointer, str):
        raise errors.BadRequest(reason="The path of an operation must be a string.")
    name, *places = _target(verb, pointer)
    if name == "locations":
        return locations.change(request, verb, places, operation)
    changes.check_name(name)
    if verb == "remove":
        return Change("remove", name)
    if "value" not in operation:
        raise errors.BadRequest(reason=f"'{verb}' needs a 'value'.")
    value = _checked(request, name, operation["value"])
    if verb == "add" and read is _read_v20:
        return Change("create", name, value)
    return Change(verb, name, value)


def _checked(request: Request, name: str, value: Any) -> Any:
    request.surface.schema.check({name: value}, whole=False)
    if name in images.BASE_ATTRIBUTES:
        words.check_attribute(name, value)
        # 1.0 is an integer in JSON Schema.
        return int(value) if isinstance(value, float) else value
    maximum = request.surface.settings.image_property_value_max
    words.check_property(name, value, maximum)
    return value


def _read_v21(operation: dict[str, Any]) -> tuple[Verb, Any]:
    """``{"op": VERB, "path": "/x", "value": ...}``"""
    verb = operation.get("op")
    if not isinstance(verb, str) or verb not in VERBS:
        raise errors.BadRequest(
            reason=f"The 'op' of an operation must be one of {', '.join(VERBS)}."
        )
    if "path" not in operation:
        raise errors.BadRequest(reason="An operation needs a 'path'.")
    return VERBS[verb], operation["path"]


def _read_v20(operation: dict[str, Any]) -> tuple[Verb, Any]:
    """``{VERB: "/x", "value": ...}``"""
    verbs = [verb for verb in VERBS if verb in operation]
    if len(verbs) != 1:
        raise errors.BadRequest(
            reason=f"An operation needs exactly one of {', '.join(VERBS)}."
        )
    return VERBS[verbs[0]], operation[verbs[0]]


def _target(verb: Verb, pointer: str) -> list[str]:
    """The attribute or property that a JSON pointer (RFC 6901) addresses.

    After ``locations`` comes the place of a single one.
    """
    malformed = (
        not pointer.startswith("/")
        or "//" in pointer
        or (pointer.endswith("/") and pointer != "/")
        or BAD_ESCAPE.search(pointer)
    )
    if malformed:
        raise _bad_pointer(pointer)
    tokens = [
        token.replace("~1", "/").replace("~0", "~").strip()
        for token in pointer[1:].split("/")
    ]
    # Of locations, single entries are added and removed, and the list replaced.
    depth = 2 if tokens[0] == "locations" and verb != "replace" else 1
    if len(tokens) != depth:
        raise _bad_pointer(pointer)
    return tokens


def _bad_pointer(pointer: str) -> errors.BadRequest:
    return errors.BadRequest(
        reason=f"'{pointer[:300]}' is not a path that can be changed here: it must be a "
        "slash and the name of one attribute or property (RFC 6901)."
    )
