"""Names in Swift: of a key's objects, and the locations that are kept for them.

    <container>/<name>                    the image: a manifest, or an empty object
    <container>/<name>/<token>            claim of the write of that token
    <container>/<name>/<token>/00000001   its segments

``name`` is the key, percent-encoded, so that it holds no slash. The account is the store's
own or, with ``swift_store_multi_tenant``, that of a project; then a note in the store's own
account tells which, so that what is left of a key can be found (``note``):

    <container>_projects/<name>/<project>/<token>
"""

import re
import urllib.parse
from collections.abc import Sequence
from typing import NamedTuple

from imageservice import errors

SCHEME = "swift+config"

LONGEST = 900
"""Characters of a name; Swift takes 1024 bytes, and segments need some more."""

INLINE = ("swift", "swift+http", "swift+https")


PROJECT = re.compile("[0-9A-Za-z-]{1,64}")
"""Ids of projects; they become a part of addresses."""


UNKNOWN = "-"
"""In place of an ETag."""


class Place(NamedTuple):
    """An object in an account, for which the login of a reference is used.

    The account is that of ``project``, None: of the login. ``etag`` is that of what was
    stored, None if it is not known: a project may change what lies in its account.
    """

    reference: str
    container: str
    name: str
    project: str | None = None
    etag: str | None = None

    @property
    def url(self) -> str:
        path = f"{urllib.parse.quote(self.container, safe='')}/{self.name}"
        if self.project:
            path = f"{self.project}/{path}/{self.etag or UNKNOWN}"
        return f"{SCHEME}://{self.reference}/{path}"


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


def is_name(name: str) -> bool:
    """Tell whether it is what ``name_of`` makes of a key."""
    return (
        bool(name) and urllib.parse.quote(urllib.parse.unquote(name), safe="") == name
    )


def container_of(prefix: str, seed: int, name: str) -> str:
    return f"{prefix}_{name[:seed]}" if seed else prefix


def notes_of(container: str) -> str:
    """The container of the notes."""
    return f"{container}_projects"


def note(name: str, project: str = "", token: str = "") -> str:
    """The name of a note, or what such names begin with."""
    return f"{name}/{project}/{token}" if project else f"{name}/"


def locate(
    store: str, url: str, prefix: str, reference: str, *, tenants: bool = False
) -> Place:
    """Read a location, ours or the incumbent's; credentials and hosts in it are ignored.

    Older locations carry the credentials of their account, in place of a reference: these
    mean ``reference``, and only the containers of this store, because users can
    register them. Without credentials they are of another project's account, which
    counts with ``tenants`` only.

    Raises LocationInvalid.
    """
    scheme, _, rest = url.partition("://")
    login, at, rest = rest.rpartition("@")  # keys may hold slashes
    parts = rest.split("/")
    if not url.isprintable() or "?" in url or "#" in url:
        raise errors.LocationInvalid(store=store)
    scheme = scheme.lower()
    if scheme == SCHEME and not at:
        place = _ours(parts)
    elif scheme in INLINE and login and len(parts) >= 3:
        place = Place(reference, urllib.parse.unquote(parts[-2]), parts[-1])
    elif scheme in INLINE and tenants and not at and len(parts) >= 4:
        account, container, name = parts[-3:]
        project = account.rpartition("_")[2]
        place = Place(reference, urllib.parse.unquote(container), name, project)
    else:
        place = None
    if place is None or not _is_plain(place):
        raise errors.LocationInvalid(store=store)
    if scheme != SCHEME and not _is_of(place, prefix):
        raise errors.LocationInvalid(store=store)
    return place


def _ours(parts: Sequence[str]) -> Place | None:
    match parts:
        case [reference, container, name]:
            return Place(reference, urllib.parse.unquote(container), name)
        case [reference, project, container, name, etag]:
            container = urllib.parse.unquote(container)
            known = None if etag == UNKNOWN else etag
            return Place(reference, container, name, project, known)
    return None


def _is_plain(place: Place) -> bool:
    odd = ("", ".", "..")
    return (
        place.container not in odd
        and "/" not in place.container
        and place.name not in odd
        and (place.project is None or bool(PROJECT.fullmatch(place.project)))
        and (place.etag is None or bool(re.fullmatch("[0-9a-f]{32}", place.etag)))
    )


def _is_of(place: Place, prefix: str) -> bool:
    """Whether the container is one of the incumbent's for this prefix."""
    if place.project:
        return is_single(place, prefix) or place.container == prefix
    return bool(
        re.fullmatch(re.escape(prefix) + "(_[0-9a-f-]{1,32})?", place.container)
    )


def is_single(place: Place, prefix: str) -> bool:
    """Whether the incumbent made the container for this image alone."""
    return bool(place.project) and place.container == f"{prefix}_{place.name}"
