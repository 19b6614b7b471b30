"""Names of images in the pool, and locations.

Finished data lies in the image named like its key. Data under way lies in an image
``.<key>.<token>``, and in ``.<key>.<token>.x`` once its writer has been fenced off.
"""

import re
import secrets
from typing import NamedTuple
from urllib.parse import quote, unquote

from imageservice import errors

SNAPSHOT = "snap"

MAX_KEY = 255
"""Bytes; Ceph's own limit is on the names of objects, and far above."""

_PART = re.compile(r"\.(?P<key>.+)\.[0-9a-f]{16}(?P<fenced>\.x)?")


class Location(NamedTuple):
    """``fsid`` and ``pool`` are None in the old short form, ``rbd://<image>``."""

    image: str
    fsid: str | None = None
    pool: str | None = None
    snapshot: str | None = None


def plain(store: str, key: str) -> None:
    """Raises LocationInvalid for a key that cannot be an image's name."""
    if (
        not key.isprintable()
        or key.startswith(".")
        or set("/@") & set(key)
        or not 0 < len(key.encode(errors="replace")) <= MAX_KEY
    ):
        raise errors.LocationInvalid(store=store)


def temporary(key: str) -> str:
    return f".{key}.{secrets.token_hex(8)}"


def fenced(name: str) -> str:
    return f"{name}.x"


def is_fenced(name: str) -> bool:
    match = _PART.fullmatch(name)
    return bool(match and match["fenced"])


def part_of(name: str) -> str | None:
    """The key whose data is under way in an image of that name, None if none is."""
    match = _PART.fullmatch(name)
    return match["key"] if match else None


def is_part_of(name: str, key: str) -> bool:
    return part_of(name) == key


def url(fsid: str, pool: str, key: str) -> str:
    """The location of finished data, in the form that nova and cinder clone from."""
    parts = (fsid, pool, key, SNAPSHOT)
    return "rbd://" + "/".join(quote(part, safe="") for part in parts)


def parse(store: str, text: str) -> Location:
    """Read a location, ours or the incumbent's. Raises LocationInvalid."""
    scheme, separator, path = text.partition("://")
    parts = [unquote(part, errors="surrogateescape") for part in path.split("/")]
    if scheme.lower() == "rbd" and separator:
        if len(parts) == 1:
            plain(store, parts[0])
            return Location(parts[0])
        if len(parts) == 4 and parts[3] == SNAPSHOT:
            fsid, pool, image, snapshot = parts
            plain(store, image)
            return Location(image, fsid, pool, snapshot)
    raise errors.LocationInvalid(store=store)
