"""Names in Swift: of a key's objects, and the locations that are kept for them.

    <container>/<name>                    the image: a manifest, or an empty object
    <container>/<name>/<token>            claim of the write of that token
    <container>/<name>/<token>/00000001   its segments

``name`` is the key, percent-encoded, so that it holds no slash.
"""

import re
import urllib.parse
from typing import NamedTuple

from imageservice import errors

SCHEME = "swift+config"

LONGEST = 900
"""Characters of a name; Swift takes 1024 bytes, and segments need some more."""

INLINE = ("swift", "swift+http", "swift+https")


class Place(NamedTuple):
    """An object, in the account of a reference."""

    reference: str
    container: str
    name: str

    @property
    def url(self) -> str:
        container = urllib.parse.quote(self.container, safe="")
        return f"{SCHEME}://{self.reference}/{container}/{self.name}"


def name_of(store: str, key: str) -> str:
    """Raises LocationInvalid for a key that cannot be the name of an object."""
    try:
        name = urllib.parse.quote(key, safe="")
    except UnicodeEncodeError:
        raise errors.LocationInvalid(store=store) from None
    # URLs are normalised on their way: these two would name something else.
    if not name or name in (".", "..") or len(name) > LONGEST:
        raise errors.LocationInvalid(store=store)
    return name


def container_of(prefix: str, seed: int, name: str) -> str:
    return f"{prefix}_{name[:seed]}" if seed else prefix


def locate(store: str, url: str, prefix: str, reference: str) -> Place:
    """Read a location, ours or the incumbent's; credentials and hosts in it are ignored.

    Older locations carry the credentials of their account, in place of a reference: these
    mean ``reference``, and only the containers of this store, because users can
    register them. Without credentials they are of another project's account.

    Raises LocationInvalid.
    """
    scheme, _, rest = url.partition("://")
    parts = rest.split("/")
    if not url.isprintable() or "?" in url or "#" in url:
        raise errors.LocationInvalid(store=store)
    if scheme == SCHEME and len(parts) == 3:
        place = Place(parts[0], urllib.parse.unquote(parts[1]), parts[2])
    elif scheme in INLINE and len(parts) >= 3 and "@" in parts[0]:
        place = Place(reference, urllib.parse.unquote(parts[-2]), parts[-1])
        ours = re.fullmatch(re.escape(prefix) + "(_[0-9a-f-]{1,32})?", place.container)
        if not ours:
            raise errors.LocationInvalid(store=store)
    else:
        raise errors.LocationInvalid(store=store)
    odd = ("", ".", "..")
    if place.container in odd or "/" in place.container or place.name in odd:
        raise errors.LocationInvalid(store=store)
    return place
