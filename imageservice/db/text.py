"""Which texts the databases take."""

from imageservice import errors


def is_storable(text: str) -> bool:
    """Tell whether ``text`` is UTF-8 (a lone surrogate is not) without NUL.

    PostgreSQL has no NUL; what cannot be stored need not be looked for.
    """
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def require_storable(*texts: str | None) -> None:
    """Raise BadRequest for a text that some database would refuse."""
    if not all(text is None or is_storable(text) for text in texts):
        reason = "Text must be Unicode without NUL characters."
        raise errors.BadRequest(reason=reason)
