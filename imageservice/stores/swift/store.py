"""The swift store: images as static large objects, one account for all of them."""

import json
import logging
import threading
import urllib.parse
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

from oslo_config import cfg

from imageservice import errors
from imageservice.stores.driver import (
    BLOCK,
    Buffer,
    Capability,
    Driver,
    Reader,
    Workers,
    Written,
)
from imageservice.stores.swift import names
from imageservice.stores.swift.account import Account, translated
from imageservice.stores.swift.download import Download
from imageservice.stores.swift.names import Place
from imageservice.stores.swift.options import OPTS
from imageservice.stores.swift.settings import Settings, settings
from imageservice.stores.swift.upload import LARGEST, MOST, WRITER, Upload

LOG = logging.getLogger(__name__)

LOCKS = 64
"""Of writers that publish; those of one key share one."""

ROUNDS = 1000
"""Listings of one removal, each at most ``account.REMEMBERED`` names."""


class Swift(Driver):
    """Objects in containers of the accounts that an operator names."""

    kind = "swift"
    OPTS: Sequence[cfg.Opt] = OPTS
    capabilities = (
        Capability.READ
        | Capability.RANGE
        | Capability.WRITE
        | Capability.DELETE
        | Capability.SIZE
    )

    def __init__(self, name: str, workers: Workers, chosen: Settings) -> None:
        super().__init__(name, workers)
        self._settings = chosen
        self._accounts = {
            reference: Account(name, login, chosen)
            for reference, login in chosen.logins.items()
        }
        self._account = self._accounts[chosen.reference]
        self._locks = [threading.Lock() for _ in range(LOCKS)]

    @classmethod
    def configured(
        cls, name: str, options: Mapping[str, Any], workers: Workers
    ) -> Self:
        return cls(name, workers, settings(name, options))

    def claims(self) -> list[str]:
        """One container of an account; beginnings of names count as containers."""
        who = self._settings.endpoint or self._account.login.who
        return [f"swift container {self._settings.container} of {who}"]

    def check(self) -> None:
        with translated(self.name, "the account"):
            self._account.look()
            container = self._settings.container
            if self._settings.seed or self._settings.create:
                return
            if not self._account.has(container):
                reason = f"the container {container} is missing"
                raise errors.StoreUnavailable(store=self.name, reason=reason)

    def properties(self) -> dict[str, Any]:
        return {
            "container": self._settings.container,
            "large_object_size": self._settings.large // BLOCK,
            "large_object_chunk_size": self._settings.chunk // BLOCK,
        }

    # --- writing ---

    def write(self, key: str, data: Reader, size: int | None) -> Written:
        place = self._place(key)
        upload = Upload(self._account, self.workers, place.container, place.name, key)
        source = Source(data)
        try:
            with translated(self.name, key):
                upload.begin(create=self._settings.create)
                upload.send(source, self._segment(size))
                upload.publish(self._lock(place.name))
        except BaseException as error:
            self._abandon(upload, key)
            if source.error is not None:
                raise source.error from None
            if isinstance(error, errors.KeyNotFound):
                reason = f"the container {place.container} has gone"
                raise errors.StoreUnavailable(store=self.name, reason=reason) from error
            raise
        return Written(place.url, upload.size, {})

    def _place(self, key: str) -> Place:
        name = names.name_of(self.name, key)
        chosen = self._settings
        container = names.container_of(chosen.container, chosen.seed, name)
        return Place(chosen.reference, container, name)

    def _segment(self, size: int | None) -> int:
        """Bytes of a segment of an image of ``size`` bytes."""
        if size is None:
            return min(self._settings.chunk, LARGEST)
        if size < self._settings.large:
            return LARGEST
        return min(max(self._settings.chunk, -(-size // MOST)), LARGEST)

    def _lock(self, name: str) -> threading.Lock:
        return self._locks[zlib.crc32(name.encode()) % LOCKS]

    def _abandon(self, upload: Upload, key: str) -> None:
        try:
            with translated(self.name, key):
                upload.abandon()
        except errors.Error as error:
            reason = "what was written could not be removed yet"
            raise errors.RemainsLeft(store=self.name, reason=reason) from error

    # --- reading ---

    def read(self, url: str, offset: int = 0, length: int | None = None) -> Download:
        account, place = self._locate(url)
        return Download(account, place, offset, length, self._settings.retries)

    def size(self, url: str) -> int:
        account, place = self._locate(url)
        return int(self._head(account, place)["content-length"])

    def _head(self, account: Account, place: Place) -> dict[str, str]:
        with translated(self.name, place.name):
            head = account.head(place.container, place.name)
        if head is None:
            raise errors.KeyNotFound(store=self.name, key=place.name)
        return head

    def _locate(self, url: str) -> tuple[Account, Place]:
        chosen = self._settings
        place = names.locate(self.name, url, chosen.container, chosen.reference)
        account = self._accounts.get(place.reference)
        if account is None:
            LOG.error("store %s: no reference %s", self.name, place.reference)
            raise errors.LocationInvalid(store=self.name)
        return account, place

    # --- removing ---

    def delete(self, url: str) -> None:
        account, place = self._locate(url)
        head = self._head(account, place)
        with translated(self.name, place.name):
            self._remove(account, place, head)

    def _remove(self, account: Account, place: Place, head: Mapping[str, str]) -> None:
        """Segments first: what breaks in the middle can be begun again.

        The claim and segments below the name go even if the manifest does not list them.
        """
        if WRITER not in head:
            for container, name in self._foreign(account, place, head):
                account.delete(container, name)
        self._sweep(account, place)
        account.delete(place.container, place.name)

    def _foreign(
        self, account: Account, place: Place, head: Mapping[str, str]
    ) -> list[tuple[str, str]]:
        """The segments of a large object that was not made here."""
        prefix = head.get("x-object-manifest")
        if prefix:
            container, _, begin = urllib.parse.unquote(prefix).partition("/")
            found = []
            if begin:
                found = account.names(container, begin)
            # The image itself may begin so, too.
            return [(container, name) for name in found if name != place.name]
        if "x-static-large-object" not in head:
            return []
        try:
            manifest = json.loads(account.manifest(place.container, place.name))
        except ValueError as error:  # some gateways give the image itself
            reason = f"the segments of {place.name} are not told"
            raise errors.StoreUnavailable(store=self.name, reason=reason) from error
        parts = [entry["name"].lstrip("/").partition("/") for entry in manifest]
        return [(container, name) for container, _, name in parts]

    def _sweep(self, account: Account, place: Place) -> None:
        """Remove claims, then segments, of all writes of the name."""
        for _ in range(ROUNDS):
            found = account.names(place.container, f"{place.name}/")
            if not found:
                return
            for name in sorted(found, key=lambda name: name.count("/")):
                account.delete(place.container, name)
        reason = f"more and more segments of {place.name} appear"
        raise errors.StoreUnavailable(store=self.name, reason=reason)

    def discard(self, key: str) -> None:
        place = self._place(key)
        with translated(self.name, key):
            # First the claim, last what is visible: a writer that makes it visible later
            # finds its claim gone and takes no credit for it.
            self._sweep(self._account, place)
            head = self._account.head(place.container, place.name)
            if head is not None:
                self._remove(self._account, place, head)


class Stopped(Exception):
    """Ends a request in whose middle the stream broke; takes no part in HTTP's own errors."""


class Source:
    """A stream whose errors go past the HTTP library, which would take them for its own.

    ``error`` is what it raised.
    """

    def __init__(self, data: Reader) -> None:
        self.error: BaseException | None = None
        self._data = data

    def read(self, size: int = -1, /) -> Buffer:
        try:
            return self._data.read(size)
        except BaseException as error:
            self.error = error
            raise Stopped from error
