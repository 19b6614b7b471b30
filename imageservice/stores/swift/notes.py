"""Notes in the store's own account: in which projects' accounts bytes of a key may lie.

A write puts its note before anything else, and what removes the bytes takes it away last:
so nothing is ever forgotten in an account that nobody would look into.
"""

from collections.abc import Iterator
from typing import NamedTuple

from imageservice.stores.swift import names
from imageservice.stores.swift.account import Account
from imageservice.stores.swift.names import Place


class Note(NamedTuple):
    """That of one write."""

    account: Account
    container: str
    name: str

    def put(self) -> None:
        self.account.mark(self.container, self.name)

    def is_there(self) -> bool:
        return self.account.head(self.container, self.name) is not None

    def remove(self) -> None:
        self.account.delete(self.container, self.name)


class Noted(NamedTuple):
    """A project's account in which bytes of ``name`` may lie, as was noted so long ago."""

    name: str
    project: str
    age_s: float


class Notes:
    """All of a store; ``account`` is its own, ``container`` the beginning of its containers."""

    def __init__(self, account: Account, container: str) -> None:
        self.container = names.notes_of(container)
        self._account = account

    def note(self, place: Place, token: str) -> Note:
        name = names.note(place.name, place.project or "", token)
        return Note(self._account, self.container, name)

    def of(self, name: str) -> list[str]:
        """The projects that are noted for a name."""
        return [noted.project for noted in self._noted(names.note(name))]

    def all(self) -> Iterator[Noted]:
        return self._noted("")

    def of_own(self) -> set[str]:
        """The names of images of the project that the store's own account belongs to."""
        return {
            noted.name for noted in self.all() if self._account.is_of(noted.project)
        }

    def _noted(self, prefix: str) -> Iterator[Noted]:
        """Each account once: names come in order."""
        last = None
        for entry in self._account.listing(self.container, prefix, delimiter=""):
            name, project, _ = entry["name"].split("/")
            if (name, project) != last:
                yield Noted(name, project, entry["age_s"])
            last = name, project

    def forget(self, place: Place) -> None:
        """Remove those of a name and a project: nothing lies there any more."""
        prefix = names.note(place.name, place.project or "")
        for name in self._account.names(self.container, prefix):
            self._account.delete(self.container, name)
