"""The contract of a storage back end: read this first when you write one.

A driver moves bytes and translates its back end's errors into the store errors of
``imageservice.errors``. Hashing, size limits, format inspection and permissions are
outside: a driver knows keys, bytes and locations, no request and no configuration
object. One instance serves all threads and greenlets of a process; calls that may
wait for a disk or a library that blocks go through ``Workers.run``.

``stores/testing.py`` holds the suite that every driver passes, ours and others'.
"""

import abc
import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from oslo_config import cfg

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


class Written(NamedTuple):
    """What write() stored: the location to keep, the bytes counted, JSON to keep with it."""

    url: str
    size: int
    metadata: Mapping[str, Any]


class Reader(Protocol):
    """Bytes to store, read once from front to end."""

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

    def signal(self) -> Signal:
        """Make the flag by which a started function reports to the request."""
        ...


class Chunks(Protocol):
    """The bytes of a read, in order; closing it early frees what it holds.

    A driver whose bytes are an open file may also offer ``file``: the tuple (descriptor,
    offset, length) that the server may send by itself instead of iterating. It then
    calls ``sent(count)``, if that is there, whenever bytes have gone out.
    """

    def __iter__(self) -> Iterator[Buffer]: ...

    def close(self) -> None: ...


class Driver(abc.ABC):
    """One configured store.

    ``kind`` is the entry point's name ("file", "s3"); ``name`` the store's id in the
    configuration, for messages and errors.
    """

    kind: str
    capabilities: Capability = Capability.NONE
    #: Options of this kind of store, read from the store's own section of the configuration.
    OPTS: Sequence[cfg.Opt] = ()
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

    @abc.abstractmethod
    def delete(self, url: str) -> None:
        """Remove the bytes. Raises KeyNotFound, KeyInUse, StoreDenied, StoreUnavailable."""

    @abc.abstractmethod
    def discard(self, key: str) -> None:
        """Remove whatever a write of ``key`` left, finished or not; nothing there is fine.

        Also a fence: a write of this key that is still under way somewhere must fail
        afterwards and leave nothing. Called when a writer is known to be dead or
        its image is gone. The caller holds the image, so no newer write is under way.
        """

    def create(self) -> None:
        """Make what the store needs and can make, at the first start of all.

        Called while no image lies in the store yet, and by an operator's express command:
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
