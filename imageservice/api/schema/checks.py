"""The image schema of this deployment: extended, published, and checked against.

Source: contract images.md §5.4 and §8.2.
"""

import functools
import json
from collections.abc import Mapping
from typing import Any

import fastjsonschema

from imageservice import errors
from imageservice.api.schema import documents
from imageservice.api.schema import extension as extensions

LARGEST = 2**31 - 1

#: Bounds that are enforced though the published document does not name them.
BOUNDS = {
    "min_disk": {"minimum": 0, "maximum": LARGEST},
    "min_ram": {"minimum": 0, "maximum": LARGEST},
}


class ImageSchema:
    """Base attributes, their formats from the configuration, and custom properties.

    ``extension`` is what ``schema-image.json`` holds: a map of property definitions,
    or ``{"properties": map, "required": names}``.

    Raises Misconfigured if a definition contradicts a base attribute or is no schema.
    """

    def __init__(
        self,
        container_formats: tuple[str, ...] = documents.CONTAINER_FORMATS,
        disk_formats: tuple[str, ...] = documents.DISK_FORMATS,
        extension: Mapping[str, Any] | None = None,
    ) -> None:
        base = documents.base_properties(container_formats, disk_formats)
        custom, self.required = extensions.parts(extension or {})
        for name in base.keys() & custom.keys():
            if custom[name] != base[name]:
                raise errors.Misconfigured(
                    reason=f"schema-image.json: '{name}' is an attribute of every image "
                    "and cannot be defined differently; remove it from the file."
                )
        marked = {
            name: {**definition, "is_base": False}
            for name, definition in custom.items()
            if name not in base
        }
        self.document = documents.image({**base, **marked}, self.required)
        bounded = {n: {**d, **BOUNDS.get(n, {})} for n, d in base.items()}
        checked = documents.image({**bounded, **marked}, [])
        self._check = _compiled({**checked, "type": "object"})

    def check(self, values: Mapping[str, Any], *, whole: bool) -> None:
        """Refuse values that the schema forbids; ``whole`` ones also for what they lack.

        A partial document, as a patch makes it, lacks nothing (✗16).
        """
        try:
            self._check(values)
        except fastjsonschema.JsonSchemaValueException as error:
            raise errors.BadRequest(reason=_explained(error)) from None
        if whole:
            self.check_complete(values)

    def check_complete(self, names: Any) -> None:
        """Refuse an image that lacks what ``required`` names; ``names`` has ``in``."""
        missing = [name for name in self.required if name not in names]
        if missing:
            raise errors.BadRequest(
                reason=f"Every image needs these properties: {', '.join(missing)}"
            )


# Compiling takes some 10 ms; applications built with the same formats share the result.
def _compiled(schema: documents.Document) -> Any:
    return _compiled_text(json.dumps(schema))


@functools.lru_cache(maxsize=8)
def _compiled_text(schema: str) -> Any:
    try:
        return fastjsonschema.compile(json.loads(schema), use_default=False)
    except fastjsonschema.JsonSchemaDefinitionException as error:
        raise errors.Misconfigured(reason=f"schema-image.json: {error}") from None


def _explained(error: fastjsonschema.JsonSchemaValueException) -> str:
    """Say what is wrong with which attribute, without repeating what was sent."""
    name = str(error.name)
    where = f"'{name.removeprefix('data.')[:255]}'" if name != "data" else "The image"
    if error.rule == "enum":
        allowed = ["null" if v is None else str(v) for v in error.rule_definition]
        return f"{where} must be one of {', '.join(allowed)}"
    said = str(error.message).removeprefix(name).strip()
    return f"{where} {said}"
