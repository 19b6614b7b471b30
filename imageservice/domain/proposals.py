"""Locations that clients name: what they may say, and what it does to an image.

Source of the rules: contract images.md §14.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from imageservice import errors
from imageservice.domain.image import Image, Location
from imageservice.domain.location import redacted

if TYPE_CHECKING:
    from imageservice.domain.changes import Change

#: Schemes that nobody may register: they name files and settings of this service.
#: Source: contract operations.md §3.5.
NEVER = frozenset({"", "file", "filesystem", "swift+config"})

#: Schemes that lead to servers of others: who registers one gets nothing that is ours.
OUTSIDE = frozenset({"http", "https"})

_SCHEME = re.compile("([A-Za-z][A-Za-z0-9+.-]*)://")
_HEX = re.compile("[0-9a-fA-F]+")


class Digests(NamedTuple):
    """What a client says of the bytes; hex."""

    os_hash_algo: str
    os_hash_value: str
    checksum: str | None = None  # MD5


class Proposal(NamedTuple):
    """A location that a client wants an image to have.

    ``store`` and ``size`` (bytes) are found out by the location ring.
    """

    url: str
    metadata: Mapping[str, Any]  # JSON
    digests: Digests | None = None
    store: str = ""
    size: int | None = None

    @property
    def logs_in(self) -> bool:
        """Whether it holds user and password for a server of others."""
        return scheme(self.url) in OUTSIDE and redacted(self.url) != self.url

    @property
    def location(self) -> Location:
        return Location(self.store, self.url, self.metadata)


def check_form(said: Digests) -> str | None:
    """What is wrong with the form of digests, None if nothing is."""
    try:
        length = hashlib.new(said.os_hash_algo, usedforsecurity=False).digest_size * 2
    except ValueError:
        return "os_hash_algo is not known"
    if not _HEX.fullmatch(said.os_hash_value) or len(said.os_hash_value) != length:
        return f"os_hash_value must be {length} hex digits"
    if said.checksum is not None and not _HEX.fullmatch(said.checksum):
        return "checksum must be 32 hex digits"
    return None


def scheme(url: str) -> str:
    """The scheme of a URL in lower case, "" if it has none."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


# --- what a patch does to them -----------------------------------------------


def apply(image: Image, change: "Change") -> Image:
    """Return the image as it will be after a change of its locations.

    The value of an ``add`` is a Proposal, that of a ``replace`` a sequence of them.
    Raises LocationsFrozen, LocationMissing, LastLocation, LocationTaken,
    LocationsDiffer, FormatsMissing, DigestsConflict.
    """
    if change.operation == "remove":
        return _removed(image, change.place)
    if change.operation == "replace":
        assert isinstance(change.value, Sequence)
        return _replaced(image, change.value)
    assert isinstance(change.value, Proposal)
    return _added(image, change.value, change.place)


def _removed(image: Image, place: int | None) -> Image:
    if image.status != "active":
        raise errors.LocationsFrozen(status=image.status)
    if place is None or place >= len(image.locations):
        raise errors.LocationMissing(place=place, count=len(image.locations))
    if len(image.locations) == 1:
        raise errors.LastLocation(image_id=image.id)
    rest = image.locations[:place] + image.locations[place + 1 :]
    return image._replace(locations=rest)


def _added(image: Image, proposal: Proposal, place: int | None) -> Image:
    _require_open(image)
    places = image.locations
    if place is not None and place > len(places):
        raise errors.LocationMissing(place=place, count=len(places))
    if any(at.url == proposal.url for at in places):
        raise errors.LocationTaken(image_id=image.id)
    at = len(places) if place is None else place
    image = _described(image, proposal)
    return image._replace(locations=(*places[:at], proposal.location, *places[at:]))


def _replaced(image: Image, proposals: Sequence[Proposal]) -> Image:
    if not proposals:
        raise errors.LastLocation(image_id=image.id)
    _require_open(image)
    if not image.locations:
        for proposal in proposals:
            image = _added(image, proposal, None)
        return image
    # Credentials are not shown, so a client cannot give them back, and what differs in
    # nothing else, as while a password is changed, is told apart by its order.
    known: dict[str, list[Location]] = {}
    for at in image.locations:
        known.setdefault(redacted(at.url), []).append(at)
    given = [redacted(proposal.url) for proposal in proposals]
    if Counter(given) != {url: len(places) for url, places in known.items()}:
        raise errors.LocationsDiffer(image_id=image.id)
    for proposal in proposals:
        _check_digests(image, proposal.digests)
    places = [
        known[url].pop(0)._replace(metadata=proposal.metadata)
        for url, proposal in zip(given, proposals, strict=True)
    ]
    return image._replace(locations=tuple(places))


def _require_open(image: Image) -> None:
    if image.status not in ("queued", "active"):
        raise errors.LocationsFrozen(status=image.status)


def _described(image: Image, proposal: Proposal) -> Image:
    """The image with what a location says of its bytes; a queued one becomes active."""
    if image.status == "active":
        _check_digests(image, proposal.digests)
        if proposal.size is not None and proposal.size != image.size:
            raise errors.LocationSize(found=proposal.size, size=image.size)
        return image
    if image.disk_format is None or image.container_format is None:
        raise errors.FormatsMissing(image_id=image.id)
    said: dict[str, Any] = proposal.digests._asdict() if proposal.digests else {}
    return image._replace(status="active", size=proposal.size, **said)


def _check_digests(image: Image, said: Digests | None) -> None:
    """What a client says of a further copy must be known of the image already."""
    if said is None:
        return
    is_same = (said.os_hash_algo, said.os_hash_value) == (
        image.os_hash_algo,
        image.os_hash_value,
    )
    if not is_same or said.checksum not in (None, image.checksum):
        raise errors.DigestsConflict(image_id=image.id)
