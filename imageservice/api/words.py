"""Which texts can be names, values and tags at all."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from imageservice import errors

NAME_MAX = 255

#: What may be noted at a location: bytes of JSON, and objects and lists within each other.
METADATA_MAX = 16384
METADATA_LEVELS = 16

# Characters outside the Basic Multilingual Plane are refused for the sake of clients
# and databases that never saw them (images.md §1.3); PostgreSQL cannot hold NUL.
IMPOSSIBLE = re.compile("[\0\U00010000-\U0010ffff]")


def check_text(what: str, text: str) -> None:
    """Refuse characters that the service does not keep; ``what`` names the text."""
    if (not text.isascii() or "\0" in text) and IMPOSSIBLE.search(text):
        raise errors.BadRequest(
            reason=f"{what} must not contain NUL or characters outside the Basic "
            "Multilingual Plane (emoji, for example)."
        )


def check_property(name: str, value: object, value_max: int) -> None:
    """Refuse a custom property that no row can hold (✗14, ✗15).

    ``value_max`` is in bytes of UTF-8.
    """
    check_text("The name of a property", name)
    if len(name) > NAME_MAX:
        raise errors.BadRequest(
            reason=f"The name of a property is at most {NAME_MAX} characters long."
        )
    if isinstance(value, str):
        check_text(f"The value of property '{name}'", value)
        # Three bytes per character is the most there can be here.
        if len(value) * 3 > value_max and len(value.encode()) > value_max:
            raise errors.BadRequest(
                reason=f"The value of property '{name}' is longer than {value_max} bytes."
            )


def check_metadata(metadata: Mapping[str, Any]) -> None:  # Any: JSON
    """Refuse more to be noted at a location than can be kept and shown again."""
    if not _is_flat(metadata, METADATA_LEVELS):
        raise errors.BadRequest(
            reason="The metadata of a location is nested more than "
            f"{METADATA_LEVELS} levels deep."
        )
    if len(orjson.dumps(metadata)) > METADATA_MAX:
        raise errors.BadRequest(
            reason=f"The metadata of a location is longer than {METADATA_MAX} bytes."
        )


def _is_flat(value: object, levels: int) -> bool:
    """Whether there are at most so many levels of objects and lists."""
    if not isinstance(value, dict | list):
        return True
    within = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_flat(each, levels - 1) for each in within)


def check_attribute(name: str, value: object) -> None:
    """Refuse texts in a base attribute, or in a list of tags, that cannot be kept."""
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if isinstance(text, str):
            check_text(f"Attribute '{name}'", text)
