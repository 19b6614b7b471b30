"""What lies in a swift store: in its own account, and in those that its notes tell of."""

import email.utils
import urllib.parse
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

from imageservice.stores.driver import Listed
from imageservice.stores.swift import names
from imageservice.stores.swift.account import Account
from imageservice.stores.swift.names import Place
from imageservice.stores.swift.notes import Noted, Notes
from imageservice.stores.swift.settings import Settings


def own(
    account: Account, chosen: Settings, elsewhere: Container[str]
) -> Iterator[Listed]:
    """What lies in the store's own account, but the names ``elsewhere``."""
    for container in _containers(account, chosen):
        # Names come in order, a name before those below it.
        above: list[str] = []
        for entry in account.listing(container):
            name = (entry.get("name") or entry["subdir"]).removesuffix("/")
            above = [each for each in above if name.startswith(each)]
            place = Place(chosen.reference, container, name)
            if name in elsewhere or not _is_ours(place, chosen):
                continue
            if "name" in entry:
                above.append(name)
                yield _listed(place, _size(entry), entry["age_s"])
            elif name not in above:
                yield _left(account, place)


def _containers(account: Account, chosen: Settings) -> Sequence[str]:
    if not chosen.seed:
        return [chosen.container]
    return list(account.containers(f"{chosen.container}_"))


def _size(entry: Mapping[str, Any]) -> int | None:
    """Of an image, if the listing tells: some tell the size of its manifest instead."""
    size: int = entry["bytes"]
    return size if "slo_etag" in entry or not size else None


def _is_ours(place: Place, chosen: Settings) -> bool:
    container = names.container_of(chosen.container, chosen.seed, place.name)
    return names.is_name(place.name) and container == place.container


def noted(
    account: Account, notes: Notes, place_of: Callable[[str], Place]
) -> Iterator[Listed]:
    """What lies in the accounts of projects; ``place_of`` tells where of a key.

    A note of nothing is something left, too: to discard its key removes it.
    """
    for note in notes.all():
        place = place_of(urllib.parse.unquote(note.name))
        yield _noted(account.of(note.project), place, note)


def _noted(account: Account, place: Place, note: Noted) -> Listed:
    place = place._replace(project=note.project)
    head = account.head(place.container, place.name)
    if head is None:
        left = _left(account, place)
        return left if left.age_s is not None else left._replace(age_s=note.age_s)
    place = place._replace(etag=head["etag"].strip('"'))
    return _listed(place, int(head["content-length"]), _age(head))


def _age(head: Mapping[str, str]) -> float:
    now, then = (
        email.utils.parsedate_to_datetime(head[name])
        for name in ("date", "last-modified")
    )
    return (now - then).total_seconds()


def _listed(place: Place, size: int | None, age_s: float) -> Listed:
    return Listed(urllib.parse.unquote(place.name), place.url, size, age_s)


def _left(account: Account, place: Place) -> Listed:
    """What a write left that never became visible: as old as its newest object."""
    found = list(account.listing(place.container, f"{place.name}/", delimiter=""))
    age_s = min((entry["age_s"] for entry in found), default=None)
    size = sum(entry["bytes"] for entry in found)
    return Listed(urllib.parse.unquote(place.name), "", size, age_s)
