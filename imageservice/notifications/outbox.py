"""Events on their way to a broker: a bounded queue, and one sender per process.

A request puts its events down here and goes on, whatever the broker does. What the queue
cannot hold is dropped, counted and logged; what it holds is lost if the process is killed
(docs/adr/0013-events-wait.md).
"""

import collections
import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import orjson

from imageservice import errors
from imageservice.notifications.events import Level, Payload

LOG = logging.getLogger(__name__)


class Bounds(NamedTuple):
    """How long things take at most, and how large they get; tests have less patience."""

    report_s: float = 10.0
    """Seconds between two looks at what was dropped."""

    drain_s: float = 4.0
    """Seconds that the queue has to empty at the end; the server gives its jobs 5."""

    pauses_s: Sequence[float] = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
    """Seconds after each failure in a row; the last for all that follow."""

    queue_bytes: int = 64 * 2**20
    """Bytes of all payloads that wait, so that large ones do not fill the memory."""

    event_bytes: int = 4 * 2**20
    """Bytes of one payload. On the wire it is JSON in JSON, all ASCII, at most 3.5 times
    as much; RabbitMQ refuses 16 MiB, and what it refuses would hold up all others."""


BOUNDS = Bounds()

_JSON = (
    # Times are YYYY-MM-DDTHH:MM:SSZ, as in the API (contract images.md §1.3).
    orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS
)


class Notice(NamedTuple):
    """An event with its envelope (contract operations.md §4.1); ``payload`` is JSON.

    Made when the event happens: id and time stay what they are when it is sent later, or
    once more.
    """

    message_id: str
    event_type: str
    level: Level
    timestamp: str
    payload: bytes


class Post(Protocol):
    """What notices are handed to."""

    def send(self, notice: Notice) -> None:
        """Deliver a notice. Raises Unavailable if that failed; it may have arrived."""
        ...

    def close(self) -> None:
        """Let go of what it holds; it does not raise."""
        ...


class Stop(Protocol):
    """Set when the process ends; as ``threading.Event``."""

    def wait(self, timeout: float) -> bool: ...


class Outbox:
    """See ``events.Events``. One per process; ``jobs`` are run beside the requests.

    ``retries`` is how often a notice that failed is tried again, -1 for ever.
    """

    def __init__(
        self, post: Post, size: int, retries: int, bounds: Bounds = BOUNDS
    ) -> None:
        self._post = post
        self._size = size
        self._retries = retries
        self._bounds = bounds
        self._lock = threading.Lock()
        self._waiting: collections.deque[Notice] = collections.deque()
        self._bytes = 0
        self._sending: Notice | None = None
        self._dropped: collections.Counter[str] = collections.Counter()
        self._filled = threading.Event()  # or the end has come
        self._ending = threading.Event()
        self._emptied = threading.Event()
        self._failures = 0  # in a row
        self.dropped = 0  # in all

    @property
    def jobs(self) -> tuple[Callable[[Stop], None], ...]:
        """What the server runs beside the requests, each until its ``stop`` is set."""
        return (self.send, self.watch)

    @property
    def waiting(self) -> int:
        """How many events have not been delivered."""
        with self._lock:
            return len(self._waiting) + (self._sending is not None)

    # --- requests ------------------------------------------------------------

    def wants(self, event_type: str) -> bool:
        return True

    def emit(self, event_type: str, payload: Payload, level: Level = "INFO") -> None:
        try:
            # A copy: what the library returns keeps up to 8 KiB busy, however short it is.
            said = bytes(memoryview(orjson.dumps(payload, option=_JSON)))
        except TypeError as error:
            LOG.error("%s cannot be sent: %s", event_type, error)
            said = None
        now = datetime.now(UTC).replace(tzinfo=None)
        with self._lock:
            if said is None or len(said) > self._bounds.event_bytes:
                self._drop(event_type)
                return
            self._waiting.append(
                Notice(
                    str(uuid.uuid4()),
                    event_type,
                    level,
                    now.isoformat(sep=" ", timespec="microseconds"),
                    said,
                )
            )
            self._bytes += len(said)
            # The oldest: later events tell the whole state of an image again.
            while (
                len(self._waiting) > self._size
                or self._bytes > self._bounds.queue_bytes
            ):
                self._drop(self._take().event_type)
        self._filled.set()

    def _take(self) -> Notice:
        notice = self._waiting.popleft()
        self._bytes -= len(notice.payload)
        return notice

    def _drop(self, event_type: str) -> None:
        self._dropped[event_type] += 1
        self.dropped += 1

    # --- the sender ----------------------------------------------------------

    def send(self, stop: Stop) -> None:
        """Deliver what waits, in its order, until the end has come and nothing is left."""
        notice = self._next()
        tries = 0
        while notice is not None:
            if self._try(notice):
                notice, tries = self._next(), 0
                continue
            if self._ending.is_set():
                break
            tries += 1
            is_given_up = self._gives_up(notice, tries)
            # Also if it is: the next would fare no better yet.
            self._ending.wait(self._pause())
            if is_given_up:
                notice, tries = self._next(), 0
        self._emptied.set()
        self._post.close()

    def _gives_up(self, notice: Notice, tries: int) -> bool:
        """Drop a notice that failed too often, or that is the oldest of a full queue.

        A broker may refuse just this one, and take those that wait behind it.
        """
        with self._lock:
            is_full = (
                len(self._waiting) >= self._size
                or self._bytes + len(notice.payload) > self._bounds.queue_bytes
            )
            if not (is_full or 0 <= self._retries < tries):
                return False
            self._sending = None
            self._drop(notice.event_type)
            return True

    def _next(self) -> Notice | None:
        while True:
            with self._lock:
                self._sending = None
                if self._waiting:
                    self._sending = self._take()
                    return self._sending
                if self._ending.is_set():
                    return None
                self._filled.clear()
            self._filled.wait()

    def _try(self, notice: Notice) -> bool:
        try:
            self._post.send(notice)
        except errors.Unavailable as error:
            self._failures += 1
            if self._failures == 1:
                LOG.warning("events wait for the broker: %s", error)
            return False
        if self._failures:
            self._failures = 0
            LOG.info("the broker takes events again, %d wait", self.waiting - 1)
        return True

    def _pause(self) -> float:
        pauses = self._bounds.pauses_s
        return pauses[min(self._failures, len(pauses)) - 1]

    # --- what became of them -------------------------------------------------

    def watch(self, stop: Stop) -> None:
        """Tell the log what was dropped; at the end, have the sender hurry."""
        while not stop.wait(self._bounds.report_s):
            self._report()
        self._ending.set()
        self._filled.set()
        self._emptied.wait(self._bounds.drain_s)
        self._report()
        if self.waiting:
            LOG.warning(
                "%d events are lost, the broker did not take them", self.waiting
            )

    def _report(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, collections.Counter()
            waiting = len(self._waiting)
        if dropped:
            LOG.warning(
                "%d events were dropped (%s), %d since the start; %d wait",
                dropped.total(),
                ", ".join(f"{name} {number}" for name, number in dropped.most_common()),
                self.dropped,
                waiting,
            )
