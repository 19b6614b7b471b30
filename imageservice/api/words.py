"""Which texts can be names, values and tags at all."""

import re

from imageservice import errors

NAME_MAX = 255

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


def check_attribute(name: str, value: object) -> None:
    """Refuse texts in a base attribute, or in a list of tags, that cannot be kept."""
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if isinstance(text, str):
            check_text(f"Attribute '{name}'", text)
