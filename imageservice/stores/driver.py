"""The contract of a storage back end: read this first when you write one.

A driver moves bytes and translates its back end's errors into the store errors of
``imageservice.errors``. Hashing, size limits, format inspection and permissions are
outside: a driver knows keys, bytes and locations, no request and no configuration
object. One instance serves all threads and greenlets of a process; calls that may
wait for a disk or a library that blocks go through ``Workers.run``.

``stores/testing/`` holds the suite that every driver passes, ours and others'.
"""

import abc
import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from oslo_config import cfg

from imageservice import errors

T = TypeVar("T")

Buffer = bytes | bytearray | memoryview

BLOCK = 1024 * 1024
"""Bytes that are read and written at a time."""


class Capability(enum.Flag):
    """What a driver can do; declared, never discovered. What is not declared raises Unsupported."""

    NONE = 0
    READ = enum.auto()
    RANGE = enum.auto()  # read() with offset and length
    WRITE = enum.auto()
    DELETE = enum.auto()
    SIZE = enum.auto()
    THIN = enum.auto()  # long runs of zeros take no room
    LIST = enum.auto()  # listing()
    REDIRECT = enum.auto()  # URLs by which clients read the bytes themselves


class Written(NamedTuple):
    """What write() stored: the location to keep, the bytes counted, JSON to keep with it."""

    url: str
    size: int
    metadata: Mapping[str, Any]


class Listed(NamedTuple):
    """Something that lies in a store, as ``Driver.listing`` finds it.

    ``url`` is what ``write`` gave, "" for what an unfinished write left. ``size`` is in
    bytes, None if it is not known. ``age_s`` is the time since it was last changed, by
    the store's own clock, None if that cannot be told.
    """

    key: str
    url: str
    size: int | None
    age_s: float | None

    @property
    def is_finished(self) -> bool:
        return bool(self.url)


class HasFileno(Protocol):
    """An open file, which stays open as long as somebody refers to it."""

    def fileno(self) -> int: ...


class Origin(NamedTuple):
    """Where the bytes of a reader lie as (part of) a file; nobody changes them there."""

    file: HasFileno
    offset: int
    length: int


def origin_of(data: object) -> Origin | None:
    """What a reader, or the chunks of a read, offer as ``origin``."""
    found: Origin | None = getattr(data, "origin", None)
    return found


class Reader(Protocol):
    """Bytes to store, read once from front to end.

    One whose bytes are those of a file may also offer that as ``origin`` (an ``Origin``, or
    None). Whoever copies them from there by other means has to read them all the same:
    only at their end is it known that they are what they should be.
    """

    def read(self, size: int = -1, /) -> Buffer:
        """Return at most ``size`` bytes, and an empty buffer only at the end.

        The buffer is valid until the next call. Raises an ``errors.Error`` when the
        stream breaks, is refused or is no longer wanted: the driver then leaves
        nothing behind and lets the error pass.
        """
        ...


class Signal(Protocol):
    """A flag that a native thread raises and request code waits for."""

    def set(self) -> None:
        """Raise the flag; may be called from any native thread, any number of times."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait in request code until the flag was raised since the last wait; lower it.

        ``timeout`` is in seconds, None waits for ever. Returns False if it ran out.
        One waiter at a time.
        """
        ...


class Workers(Protocol):
    """Native threads for what would hold up the other requests of this process."""

    def run(self, function: Callable[..., T], /, *args: Any) -> T:
        """Call ``function(*args)`` in a native thread and wait for it; only the caller waits.

        ``function`` must not use locks, queues or sockets shared with request code.
        """
        ...

    def start(self, function: Callable[..., object], /, *args: Any) -> None:
        """Call ``function(*args)`` in a native thread and do not wait for it.

        What it raises is its own business: it is logged and goes nowhere else.
        """
        ...

    def lane(self, limit: int) -> "Workers":
        """Make workers with ``limit`` threads of their own, for calls that may hang.

        Whoever waits for one of them waits for nobody outside of the lane. Its jobs must
        not wait for each other.
        """
        ...

    def signal(self) -> Signal:
        """Make the flag by which a started function reports to the request."""
        ...


class Chunks(Protocol):
    """The bytes of a read, in order; closing it early frees what it holds.

    A driver whose bytes are an open file may also offer ``file``: the tuple (descriptor,
    offset, length) that the server may send by itself instead of iterating. It then
    calls ``sent(count)``, if that is there, whenever bytes have gone out; and if the file
    breaks, ``rest()``, if that is there, iterates over those that have not.
    ``origin``, if that is there, is for whoever makes a ``Reader`` of the chunks.
    """

    def __iter__(self) -> Iterator[Buffer]: ...

    def close(self) -> None: ...


def file_of(chunks: Chunks) -> tuple[int, int, int]:
    """The ``file`` of chunks; AttributeError if they are none."""
    offering: Any = chunks  # that it has a file is up to the driver
    found: tuple[int, int, int] = offering.file
    return found


class Driver(abc.ABC):
    """One configured store.

    ``kind`` is the entry point's name ("file", "s3"); ``name`` the store's id in the
    configuration, for messages and errors.
    """

    kind: str
    capabilities: Capability = Capability.NONE
    #: Options of this kind of store, read from the store's own section of the configuration.
    OPTS: Sequence[cfg.Opt] = ()
    #: Options that stand for each other: one of them in a store's own section leaves out
    #: what [backend_defaults] says of the others.
    ALTERNATIVES: Sequence[frozenset[str]] = ()
    #: Options of other sections that count for it too, by section: the values are given to
    #: ``configured`` beside those of OPTS.
    SHARED: Mapping[str, Sequence[cfg.Opt]] = {}

    def __init__(self, name: str, workers: Workers) -> None:
        self.name = name
        self.workers = workers

    @classmethod
    @abc.abstractmethod
    def configured(
        cls, name: str, options: Mapping[str, Any], workers: Workers
    ) -> Self:
        """Build a store from the values of OPTS, by option name; no I/O but on local files.

        Raises Misconfigured when they contradict each other.
        """

    @abc.abstractmethod
    def write(self, key: str, data: Reader, size: int | None) -> Written:
        """Store all of ``data`` under ``key``; nothing is visible before all is safe.

        ``size`` is a hint in bytes, None if unknown; the caller has made sure that
        ``data`` fails when it is longer or shorter. After any error nothing is left.

        Raises KeyExists if finished data lies there, StoreFull, StoreDenied,
        StoreUnavailable, and whatever ``data.read`` raises; RemainsLeft instead if what
        was written could not be removed: then ``discard`` is called until it can.
        """

    def write_for(
        self, owner: str | None, key: str, data: Reader, size: int | None
    ) -> Written:
        """As ``write``, of an image of the project ``owner``; None if it is nobody's.

        For stores that keep the bytes of each project apart; all others have one place.
        """
        return self.write(key, data, size)

    @abc.abstractmethod
    def read(self, url: str, offset: int = 0, length: int | None = None) -> Chunks:
        """Open the bytes at ``url``; None means up to the end.

        ``offset`` and ``length`` lie within the data. Raises KeyNotFound before the
        first byte, LocationInvalid, StoreUnavailable (also in mid-read, when the back end
        ends short: a short answer never looks complete).
        """

    @abc.abstractmethod
    def size(self, url: str) -> int:
        """Bytes stored at ``url``. Raises KeyNotFound."""

    def check_url(self, url: str) -> None:
        """Raise LocationInvalid if this cannot be a location of this store.

        Asked before a client may register it; contacts no back end.
        """
        self.canonical(url)

    @abc.abstractmethod
    def delete(self, url: str) -> None:
        """Remove the bytes.

        Raises KeyNotFound, and KeyInUse, StoreDenied, StoreUnavailable if all of them are
        there as before (NotBegun where the store hangs); RemainsLeft or any other NoAnswer
        if some may be gone, or go at any time: ``delete`` is called again until nothing is
        there, and nobody reads them any more.
        """

    @abc.abstractmethod
    def discard(self, key: str) -> None:
        """Remove whatever a write of ``key`` left, finished or not; nothing there is fine.

        Also a fence: a write of this key that is still under way somewhere must fail
        afterwards and leave nothing. Called when a writer is known to be dead or
        its image is gone. The caller holds the image, so no newer write is under way.
        """

    def listing(self) -> Iterator[Listed]:
        """All that lies in the store, in no order, in bounded memory.

        Finished data, and what unfinished writes left as far as the driver can tell;
        never what somebody else keeps there under names that are no keys of ours. What
        comes or goes meanwhile may be in it or not; all else is, once. Raises Unsupported,
        StoreUnavailable, StoreDenied.
        """
        raise errors.Unsupported(store=self.name, what="list what it holds")

    def canonical(self, url: str) -> str:
        """The location as ``write`` and ``listing`` word it today: there may be other spellings.

        Other image services, and earlier configurations, wrote other schemes, hosts and
        credentials into it. Raises LocationInvalid if it is not of this store, for foreign
        schemes without asking anybody; StoreUnavailable.
        Source: contract operations.md §3.1, §3.3.
        """
        raise errors.LocationInvalid(store=self.name)

    def redirect(self, url: str, lifetime_s: int) -> str:
        """Return an address by which anybody reads all of the bytes at ``url``, for a while.

        A GET of it within ``lifetime_s`` seconds gives them as application/octet-stream
        and obeys Range; later it is refused. The address is a secret: never log it. That
        the bytes are there is the caller's business. Raises LocationInvalid, StoreDenied
        if the store lacks what it needs to make one, StoreUnavailable.
        """
        raise errors.Unsupported(store=self.name, what="be read by clients themselves")

    def create(self) -> None:
        """Make what the store needs and can make, at the first start of all.

        Called while no image can lie in the store yet, and by an operator's express command:
        what is missing later has gone, and must not be replaced by something empty.
        """
        return

    def claims(self) -> Sequence[str]:
        """What no second store may use, as operators know it (folders, buckets)."""
        return ()

    def check(self) -> None:
        """Raise StoreUnavailable or StoreDenied, with the reason, if the store cannot work now."""
        return

    def properties(self) -> dict[str, Any]:
        """What ``GET /v2/info/stores/detail`` shows for this store (images.md §15)."""
        return {}
