"""Reading an object, or a part of it, over connections that may break."""

import contextlib
import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.swift.account import Account
from imageservice.stores.swift.faults import translated
from imageservice.stores.swift.names import Place

LOG = logging.getLogger(__name__)

EMPTY = hashlib.md5(b"", usedforsecurity=False).hexdigest()
"""ETag of an image without bytes, the only one that is no large object."""


class Download:
    """The bytes from ``offset`` on, ``length`` of them or up to the end.

    A connection that breaks is replaced ``retries`` times, from where it broke; the ETag
    makes sure that it goes on with the same object.
    """

    def __init__(
        self,
        account: Account,
        place: Place,
        offset: int,
        length: int | None,
        retries: int,
    ) -> None:
        self._account = account
        self._place = place
        self._position = offset
        self._end = None if length is None else offset + length
        self._retries = retries
        self._etag: str | None = None
        self._holding = contextlib.ExitStack()
        self._body: Any = None  # swiftclient's
        if length == 0:
            self._at_end()
        else:
            self._open()

    # --- opening ---

    def _open(self) -> None:
        headers = {}
        if self._position or self._end is not None:
            last = "" if self._end is None else self._end - 1
            headers["Range"] = f"bytes={self._position}-{last}"
        if self._etag:
            headers["If-Match"] = f'"{self._etag}"'
        try:
            with self._translated():
                found, self._body = self._holding.enter_context(
                    self._account.open(
                        self._place.container, self._place.name, headers, BLOCK
                    )
                )
        except errors.StoreUnavailable as error:
            cause = error.__cause__
            if getattr(cause, "http_status", None) != 416:
                raise
            self._at_end()
            return
        self._check(found, "Range" in headers)

    def _at_end(self) -> None:
        """Nothing is to be read: right if that is where the object ends, or begins."""
        with self._translated():
            found = self._account.head(self._place.container, self._place.name)
        if found is None:
            raise errors.KeyNotFound(store=self._account.store, key=self._place.name)
        unchanged(self._account.store, self._place, found)
        size = int(found.get("content-length", 0))
        beyond = self._position > size
        if (
            beyond
            or (self._end is None and self._position != size)
            or (self._end or 0) > size
        ):
            raise self._short(f"has {size} bytes, fewer than it should")
        self._end = self._position

    def _check(self, found: dict[str, str], partial: bool) -> None:
        try:
            unchanged(self._account.store, self._place, found)
        except errors.StoreUnavailable:
            self.close()
            raise
        self._etag = self._etag or found.get("etag", "").strip('"')
        if not partial:
            length = found.get("content-length")
            self._end = None if length is None else int(length)
            return
        match = re.fullmatch(r"bytes (\d+)-(\d+)/\d+", found.get("content-range", ""))
        first, last = map(int, match.groups()) if match else (-1, -1)
        end = last + 1
        if first != self._position or (self._end or end) != end:
            self.close()
            raise self._short("does not have all of the bytes that it should")
        self._end = end

    # --- reading ---

    def __iter__(self) -> Iterator[bytes]:
        while self._end is None or self._position < self._end:
            block = self._block()
            if not block and self._end is None:
                break
            self._position += len(block)
            if block:
                yield block
        self._end_well()

    def _block(self) -> bytes:
        """The next bytes. Raises StoreUnavailable when the last connection has broken."""
        if self._body is None:
            raise self._short("was closed while it was read")
        try:
            with self._translated():
                block = bytes(self._body.read(BLOCK))
            if block or self._end is None:
                return block
            raise self._short("ended short")
        except errors.StoreUnavailable as error:
            self.close()
            if not self._retries or self._end is None or not self._etag:
                raise
            self._retries -= 1
            LOG.warning("%s; going on at byte %d", error, self._position)
        try:
            self._open()
        except errors.KeyNotFound as error:
            raise self._short("has gone while it was read") from error
        return b""

    def _short(self, what: str) -> errors.StoreUnavailable:
        reason = f"{self._place.name} {what}"
        return errors.StoreUnavailable(store=self._account.store, reason=reason)

    def _translated(self) -> contextlib.AbstractContextManager[None]:
        return translated(self._account.store, self._place.name)

    def _end_well(self) -> None:
        """Give the connection back for the next request: it has nothing left to say."""
        if self._body is not None:
            with contextlib.suppress(errors.Error), self._translated():
                self._body.read(1)  # the end, upon which the socket is free
            self._body = None
            self._holding.close()

    def close(self) -> None:
        """End the connection, in the middle if need be."""
        if self._body is None:
            return
        self._body = None
        with contextlib.suppress(_Closed):
            self._holding.__exit__(_Closed, _Closed(), None)


def unchanged(store: str, place: Place, head: Mapping[str, str]) -> None:
    """Raise StoreUnavailable if a project has changed what was stored in its account.

    ``head`` are the headers of what lies there now. The store may read every account, so
    that a link, or a list of objects that are links, would show another project's bytes
    (docs/adr/0028).
    """
    if place.project is None:
        return
    leads_on = "content-location" in head or "x-object-manifest" in head
    other = False
    if place.etag is not None:
        # That of a large object is the MD5 of a text, which may be an object, too.
        is_large = "x-static-large-object" in head
        etag = head.get("etag", "").strip('"')
        other = etag != place.etag or not (is_large or etag == EMPTY)
    if leads_on or other:
        reason = f"project {place.project} has changed {place.name} in its account"
        raise errors.StoreUnavailable(store=store, reason=reason)


class _Closed(Exception):
    """Makes the account close the connection."""
