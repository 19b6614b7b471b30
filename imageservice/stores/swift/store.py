"""The swift store: images as static large objects, in one account or in those of projects."""

import contextlib
import logging
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from oslo_config import cfg

from imageservice import errors
from imageservice.stores.driver import (
    Buffer,
    Capability,
    Driver,
    Listed,
    Reader,
    Workers,
    Written,
)
from imageservice.stores.swift import listing, names
from imageservice.stores.swift.account import Account
from imageservice.stores.swift.conversations import Conversations
from imageservice.stores.swift.download import Download, unchanged
from imageservice.stores.swift.faults import translated
from imageservice.stores.swift.names import Place
from imageservice.stores.swift.notes import Notes
from imageservice.stores.swift.options import OPTS
from imageservice.stores.swift.removal import Removal
from imageservice.stores.swift.settings import Settings, settings
from imageservice.stores.swift.tokens import Tokens
from imageservice.stores.swift.upload import LARGEST, MOST, Upload

LOG = logging.getLogger(__name__)

NOBODY = "0" * 32
"""Id of no project."""

LOCKS = 64
"""Of writers that publish; those of one key share one."""


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
        | Capability.LIST
        | Capability.REDIRECT
    )

    def __init__(self, name: str, workers: Workers, chosen: Settings) -> None:
        super().__init__(name, workers)
        self._settings = chosen
        self._accounts = {
            reference: Account(
                Conversations(Tokens(name, login, chosen), chosen), chosen
            )
            for reference, login in chosen.logins.items()
        }
        self._account = self._accounts[chosen.reference]
        self._notes = Notes(self._account, chosen.container) if chosen.tenants else None
        self._locks = [threading.Lock() for _ in range(LOCKS)]

    @classmethod
    def configured(
        cls, name: str, options: Mapping[str, Any], workers: Workers
    ) -> Self:
        return cls(name, workers, settings(name, options))

    def claims(self) -> list[str]:
        """One container of an account; beginnings of names count as containers."""
        who = self._settings.endpoint or self._account.who
        return [f"swift container {self._settings.container} of {who}"]

    def check(self) -> None:
        with translated(self.name, "the account"):
            self._account.look()
            if self._notes:
                self._account.of(NOBODY).look()  # refused without the role
            if self._settings.create:
                return
            needed = [] if self._settings.seed else [self._settings.container]
            if self._notes:
                needed.append(self._notes.container)
            for container in needed:
                self._need(self._account, container)

    def _need(self, account: Account, container: str) -> None:
        if not account.has(container):
            reason = f"the container {container} is missing"
            raise errors.StoreUnavailable(store=self.name, reason=reason)

    def properties(self) -> dict[str, Any]:
        return {
            "container": self._settings.container,
            "large_object_size": self._settings.large,
            "large_object_chunk_size": self._settings.chunk,
        }

    # --- writing ---

    def write(self, key: str, data: Reader, size: int | None) -> Written:
        return self._write(self._place(key), key, data, size)

    def write_for(
        self, owner: str | None, key: str, data: Reader, size: int | None
    ) -> Written:
        place = self._place(key)
        if self._notes and owner is not None:
            if not names.PROJECT.fullmatch(owner):
                reason = f"the owner {owner} is no project that could have an account"
                raise errors.StoreDenied(store=self.name, reason=reason)
            place = place._replace(project=owner)
        return self._write(place, key, data, size)

    def _write(self, place: Place, key: str, data: Reader, size: int | None) -> Written:
        account = self._account_of(place)
        notes = self._notes if place.project else None
        upload = Upload(account, self.workers, place, key, notes)
        source = Source(data)
        try:
            with translated(self.name, key):
                upload.begin()
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
        if place.project:
            place = place._replace(etag=upload.etag)
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
        with self._looking(place):
            return Download(account, place, offset, length, self._settings.retries)

    def size(self, url: str) -> int:
        account, place = self._locate(url)
        with self._looking(place), translated(self.name, place.name):
            head = account.head(place.container, place.name)
            if head is None:
                raise errors.KeyNotFound(store=self.name, key=place.name)
        unchanged(self.name, place, head)
        return int(head["content-length"])

    def redirect(self, url: str, lifetime_s: int) -> str:
        account, place = self._locate(url)
        with translated(self.name, place.name):
            return account.temporary(place.container, place.name, lifetime_s)

    @contextlib.contextmanager
    def _looking(self, place: Place) -> Iterator[None]:
        """Make StoreUnavailable of KeyNotFound if the container is missing, too.

        Then it is another account than the one that had the image. A project may remove
        its own containers; of what was stored there the notes tell.
        """
        try:
            yield
        except errors.KeyNotFound:
            with translated(self.name, place.name):
                if place.project is None:
                    self._need(self._account_of(place), place.container)
                elif self._notes and place.etag:  # the incumbent made no notes
                    self._need(self._account, self._notes.container)
            raise

    def _locate(self, url: str) -> tuple[Account, Place]:
        chosen = self._settings
        place = names.locate(
            self.name, url, chosen.container, chosen.reference, tenants=chosen.tenants
        )
        return self._account_of(place), place

    def _account_of(self, place: Place) -> Account:
        account = self._accounts.get(place.reference)
        if account is None:
            LOG.error("store %s: no reference %s", self.name, place.reference)
            raise errors.LocationInvalid(store=self.name)
        return account.of(place.project) if place.project else account

    def check_url(self, url: str) -> None:
        _, place = self._locate(url)
        if place.project:  # which may be another project's than the caller's
            raise errors.LocationInvalid(store=self.name)

    def listing(self) -> Iterator[Listed]:
        with translated(self.name, "the account"):
            told = self._notes.of_own() if self._notes else ()
            yield from listing.own(self._account, self._settings, told)
            if self._notes:
                yield from listing.noted(self._account, self._notes, self._place)

    def canonical(self, url: str) -> str:
        _, place = self._locate(url)
        return place.url

    # --- removing ---

    def delete(self, url: str) -> None:
        account, place = self._locate(url)
        removal = Removal(account, place)
        try:
            with translated(self.name, place.name):
                was_there = self._remove(removal)
        except (errors.StoreDenied, errors.StoreUnavailable, errors.StoreFull) as error:
            if not removal.may_have_changed(error):
                raise
            reason = "nobody knows how much of the data is gone"
            raise errors.RemainsLeft(store=self.name, reason=reason) from error
        if not was_there:
            with self._looking(place):
                raise errors.KeyNotFound(store=self.name, key=place.name)

    def discard(self, key: str) -> None:
        place = self._place(key)
        with translated(self.name, key):
            was_there = self._remove(Removal(self._account, place))
            if not was_there and not self._settings.create:
                told = self._notes.container if self._notes else place.container
                self._need(self._account, told)
            for project in self._notes.of(place.name) if self._notes else ():
                noted = place._replace(project=project)
                self._remove(Removal(self._account_of(noted), noted))

    def _remove(self, removal: Removal) -> bool:
        """Remove all of a name, and what was noted of it; False if no image was there."""
        was_there = removal.run()
        account, place = removal.account, removal.place
        if names.is_single(place, self._settings.container):
            account.unmake(place.container)
        if place.project and self._notes:
            self._notes.forget(place)
        return was_there


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
