"""Reading an object, or a part of it, over connections that may break."""

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.swift.account import Account, translated
from imageservice.stores.swift.names import Place

LOG = logging.getLogger(__name__)


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


class _Closed(Exception):
    """Makes the account close the connection."""
