"""The operator's own property definitions, ``schema-image.json`` (images.md §5.4)."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from imageservice import errors

FILE = "schema-image.json"


class Parts(NamedTuple):
    """Definitions by property name, and the names that every image must have."""

    properties: dict[str, Any]  # JSON schemas
    required: list[str]


def load(path: str | None) -> Mapping[str, Any]:
    """Read the file; none means no definitions. Raises Misconfigured."""
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError) as error:
        raise errors.Misconfigured(reason=f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise errors.Misconfigured(reason=f"{path}: must hold one JSON object.")
    return found


def parts(extension: Mapping[str, Any]) -> Parts:
    """Tell the flat form, a map of definitions, from ``{"properties": .., "required": ..}``.

    Raises Misconfigured if it is neither.
    """
    properties, required = extension, []
    inner = extension.get("properties")
    # In the flat form a property may itself be called "properties": it then is a
    # definition, whose values are not all definitions.
    if isinstance(inner, Mapping) and all(
        isinstance(d, Mapping) for d in inner.values()
    ):
        properties, required = inner, extension.get("required", [])
    if not all(isinstance(definition, Mapping) for definition in properties.values()):
        raise errors.Misconfigured(
            reason=f"{FILE}: every property needs an object that defines it."
        )
    if not isinstance(required, list) or not all(isinstance(n, str) for n in required):
        raise errors.Misconfigured(
            reason=f"{FILE}: 'required' must be a list of property names."
        )
    return Parts(dict(properties), required)
