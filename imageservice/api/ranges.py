"""Which bytes of an image a request is for, and whether the client has them already.

Sources: contract images.md §9.2; RFC 9110, sections 13 and 14.
"""

import re
from typing import NamedTuple

from imageservice import errors

RANGE = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.IGNORECASE | re.ASCII)
CONTENT_RANGE = re.compile(
    r"bytes[ \t]+(\d+)-(\d+)/(\d+|\*)[ \t]*", re.IGNORECASE | re.ASCII
)
LONGEST = 4000  # digits and all; int() takes 4300


class Window(NamedTuple):
    """Bytes ``start`` to ``stop`` (half-open), within the image."""

    start: int
    stop: int


def parse_range(header: str, size: int) -> Window:
    """Turn a Range header into the bytes to send of an image of ``size`` bytes.

    Raises BadRequest for several ranges, RangeNotSatisfiable for one that is malformed
    or lies outside; ``bytes=-0`` does, too (✗35).
    """
    if "," in header:
        raise errors.BadRequest(
            reason="Several ranges in one request are not supported: ask for one."
        )
    match = RANGE.fullmatch(header.strip()) if len(header) < LONGEST else None
    if match is None or match.groups() == ("", ""):
        raise errors.RangeNotSatisfiable(size=size)
    first, last = match.groups()
    if not first:
        return _window(max(0, size - int(last)), size, size)
    return _window(int(first), int(last) + 1 if last else size, size)


def parse_content_range(header: str, size: int) -> Window:
    """Turn a Content-Range header *of a request* into the bytes to send.

    An old form of asking for a range. Raises RangeNotSatisfiable, also for
    ``bytes */N``, a total beyond the image's and a range beyond its own total (✗36).
    """
    match = CONTENT_RANGE.fullmatch(header.strip()) if len(header) < LONGEST else None
    if match is None:
        raise errors.RangeNotSatisfiable(size=size)
    first, last, total = match.groups()
    stop = int(last) + 1
    if stop > size or (total != "*" and not stop <= int(total) <= size):
        raise errors.RangeNotSatisfiable(size=size)
    return _window(int(first), stop, size)


def _window(start: int, stop: int, size: int) -> Window:
    stop = min(stop, size)
    if start >= stop:
        raise errors.RangeNotSatisfiable(size=size)
    return Window(start, stop)


def is_known(if_none_match: str, etag: str) -> bool:
    """Tell whether If-None-Match names the entity: weak comparison (RFC 9110, 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags


def is_same(if_range: str, etag: str) -> bool:
    """Tell whether If-Range names this very entity: strong comparison (13.1.5).

    A date never does: image data has no Last-Modified.
    """
    return if_range.strip() == etag
