"""Removing an image: claims, segments, and what is visible."""

import urllib.parse
from collections.abc import Iterable, Sequence

from imageservice import errors
from imageservice.stores.swift.account import Account
from imageservice.stores.swift.names import Place
from imageservice.stores.swift.upload import WRITER

ROUNDS = 1000
"""Listings of one removal, each at most ``account.REMEMBERED`` names."""


class Removal:
    """Removes all of a name, finished or not.

    First the claim, last what is visible: a writer that makes it visible later finds its
    claim gone and takes no credit for it, and what breaks in the middle can be begun again.

    A listing may be late, so the segments that a manifest tells go even if they are not
    listed, and those below the name even if no manifest tells them. Nothing else goes,
    whatever leads there: who may write in the container could have us remove what they may
    not touch. The incumbent's segments lie beside the image, as ``<name>-00001``.
    """

    def __init__(self, account: Account, place: Place) -> None:
        self.account = account
        self.place = place
        self._below = f"{place.name}/"
        self._beside = f"{place.name}-"
        self._told: set[str] = set()
        self._asked = False
        self._removed = 0

    def run(self) -> bool:
        """Returns False if no image was there."""
        account, place = self.account, self.place
        head = account.head(place.container, place.name) or {}
        if "x-static-large-object" in head:
            self._told = self._ours(self._manifest(is_foreign=WRITER not in head))
        self._sweep(self._below)
        led = urllib.parse.unquote(head.get("x-object-manifest", ""))
        for begin in self._ours([led]):
            self._sweep(begin)
        for name in sorted(self._told):
            self._delete(name)
        # Also unseen: Ceph's gateway shows no manifest that lacks a segment.
        self._delete(place.name)
        return bool(head)

    def may_have_changed(self, trouble: errors.Error) -> bool:
        """Tell whether anything may be gone after ``trouble`` of ``run``."""
        if isinstance(trouble, errors.StoreDenied):  # a refusal itself changes nothing
            return self._removed > 0
        return self._asked

    def _manifest(self, *, is_foreign: bool) -> Sequence[str]:
        account, place = self.account, self.place
        told = account.segments(place.container, place.name)
        if told is None and is_foreign:
            reason = f"the segments of {place.name} are not told"
            raise errors.StoreUnavailable(store=account.store, reason=reason)
        return told or []  # of our own the listing tells; Ceph's is never late

    def _ours(self, paths: Iterable[str]) -> set[str]:
        """Names of what belongs to the image, of paths as ``container/name``."""
        pairs = [path.partition("/") for path in paths]
        return {
            name
            for container, _, name in pairs
            if container == self.place.container
            and name.startswith((self._below, self._beside))
        }

    def _delete(self, name: str) -> None:
        self._asked = True
        self._removed += self.account.delete(self.place.container, name)
        self._told.discard(name)

    def _sweep(self, begin: str) -> None:
        """Remove what is listed and begins so; below the image claims, then segments."""
        account, place = self.account, self.place
        for _ in range(ROUNDS):
            found = account.names(place.container, begin)
            if not found:
                return
            for name in sorted(found, key=lambda name: name.count("/")):
                self._delete(name)
        reason = f"more and more segments of {place.name} appear"
        raise errors.StoreUnavailable(store=account.store, reason=reason)
