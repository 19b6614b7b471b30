"""The memory store: for tests, and for trying things out. A restart empties it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

from oslo_config import cfg

from imageservice import errors
from imageservice.stores.driver import (
    BLOCK,
    Capability,
    Driver,
    Listed,
    Reader,
    Workers,
    Written,
)


class Finished(NamedTuple):
    token: object  # the write that made it
    whole: bytes
    since: float  # monotonic seconds


class Memory(Driver):
    """Keeps data in this process; each worker process has its own.

    Nothing here needs a lock: every step that matters is one operation of a dict.
    """

    kind = "memory"
    OPTS: Sequence[cfg.Opt] = (
        cfg.IntOpt(
            "memory_store_size",
            default=1024,
            min=1,
            help="MiB that the store holds at most, uploads under way included.",
        ),
    )
    capabilities = (
        Capability.READ
        | Capability.RANGE
        | Capability.WRITE
        | Capability.DELETE
        | Capability.SIZE
        | Capability.LIST
    )

    def __init__(self, name: str, workers: Workers, room: int = 1024 * BLOCK) -> None:
        super().__init__(name, workers)
        self._room = room  # bytes
        self._finished: dict[str, Finished] = {}
        self._parts: dict[object, tuple[str, bytearray]] = {}

    @classmethod
    def configured(
        cls, name: str, options: Mapping[str, Any], workers: Workers
    ) -> Self:
        return cls(name, workers, options["memory_store_size"] * BLOCK)

    def held(self) -> list[str]:
        """The keys of all that is there, finished or not."""
        return [*self._finished, *(key for key, _ in self._parts.values())]

    def write(self, key: str, data: Reader, size: int | None) -> Written:
        self._check_key(key)
        if key in self._finished:
            raise errors.KeyExists(store=self.name, key=key)
        token, part = object(), bytearray()
        self._parts[token] = (key, part)
        try:
            self._check_room(size or 0)
            while block := data.read(BLOCK):
                self._check_room(len(block))
                part += block
            return self._publish(key, token)
        finally:
            self._parts.pop(token, None)

    def _check_key(self, key: str) -> None:
        # It goes into a URL as it is, and that into the database.
        if not key or not key.isprintable():
            raise errors.LocationInvalid(store=self.name)

    def _check_room(self, more: int) -> None:
        parts = sum(len(part) for _, part in self._parts.values())
        free = (
            self._room
            - parts
            - sum(len(kept.whole) for kept in self._finished.values())
        )
        if more > free:
            reason = f"{more} bytes more are needed, {free} are free"
            raise errors.StoreFull(store=self.name, reason=reason)

    def _publish(self, key: str, token: object) -> Written:
        if token not in self._parts:
            raise errors.LeaseLost(image_id=key)
        _, part = self._parts[token]
        kept = Finished(token, bytes(part), time.monotonic())
        # One step, so that of two writers of a key exactly one wins.
        if self._finished.setdefault(key, kept).token is not token:
            raise errors.KeyExists(store=self.name, key=key)
        return Written(self._url(key), len(kept.whole), {})

    def _url(self, key: str) -> str:
        return f"memory://{self.name}/{key}"

    def _key(self, url: str) -> str:
        prefix = self._url("")
        if not url.startswith(prefix) or url == prefix:
            raise errors.LocationInvalid(store=self.name)
        return url.removeprefix(prefix)

    def _data(self, url: str) -> bytes:
        key = self._key(url)
        try:
            return self._finished[key].whole
        except KeyError:
            raise errors.KeyNotFound(store=self.name, key=key) from None

    def read(self, url: str, offset: int = 0, length: int | None = None) -> "Pieces":
        whole = self._data(url)
        end = len(whole) if length is None else offset + length
        if offset > end or end > len(whole):
            reason = "the data has fewer bytes than it should"
            raise errors.StoreUnavailable(store=self.name, reason=reason)
        return Pieces(whole, offset, end)

    def size(self, url: str) -> int:
        return len(self._data(url))

    def listing(self) -> Iterator[Listed]:
        now = time.monotonic()
        for key, kept in list(self._finished.items()):
            yield Listed(key, self._url(key), len(kept.whole), now - kept.since)
        for key, part in list(self._parts.values()):
            yield Listed(key, "", len(part), 0)

    def canonical(self, url: str) -> str:
        self._key(url)
        return url

    def delete(self, url: str) -> None:
        self._data(url)
        self._finished.pop(self._key(url), None)

    def discard(self, key: str) -> None:
        self._check_key(key)
        for token, (owner, _) in list(self._parts.items()):
            if owner == key:
                self._parts.pop(token, None)
        self._finished.pop(key, None)


class Pieces:
    """A run of bytes in blocks of 1 MiB."""

    def __init__(self, whole: bytes, start: int, end: int) -> None:
        self._whole = whole
        self._start = start
        self._end = end

    def __iter__(self) -> Iterator[bytes]:
        for start in range(self._start, self._end, BLOCK):
            yield self._whole[start : min(start + BLOCK, self._end)]

    def close(self) -> None:
        self._whole = b""
        self._end = 0
