"""Native threads for greenlets: ``Workers`` of ``stores/driver.py``, and the mailbox back.

Native threads cannot touch greenlets. They leave what they have to say in a mailbox and
ring an eventfd, which wakes the hub; the hub then resumes who is waiting.
"""

import collections
import copy
import logging
import os
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol, Self, TypeVar, cast

import greenlet

from imageservice.wsgi.stream import Hub

T = TypeVar("T")

LOG = logging.getLogger(__name__)

MAX_RUNNING = 32
"""Native threads for run(): calls wait for a disk mostly, and queue up beyond this."""

IDLE_S = 30.0
"""Seconds after which a thread without work ends."""


class Lock(Protocol):
    """A native lock."""

    def __enter__(self) -> bool: ...

    def __exit__(self, *exc: object) -> None: ...


class Native(Protocol):
    """The module ``_thread`` as it was before it was patched."""

    def allocate_lock(self) -> Lock: ...

    def start_new_thread(
        self, function: Callable[[], object], args: tuple[()], /
    ) -> int: ...


class Mailbox:
    """Calls that native threads want made by the hub."""

    def __init__(self, hub: Hub) -> None:
        self._calls: collections.deque[Callable[[], object]] = collections.deque()
        self._rung = False
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        hub.add(hub.READ, self._bell, self._deliver, None, None)

    def post(self, call: Callable[[], object]) -> None:
        """Have ``call`` made soon; from any native thread."""
        self._calls.append(call)
        if not self._rung:
            self._rung = True
            os.eventfd_write(self._bell, 1)

    def _deliver(self, descriptor: int) -> None:
        os.eventfd_read(self._bell)
        # Before the calls are counted: whoever comes after that rings again.
        self._rung = False
        for _ in range(len(self._calls)):
            try:
                self._calls.popleft()()
            except Exception:  # must not cost the others their call
                LOG.exception("a call from a native thread failed")


class Signal:
    """See ``stores.driver.Signal``."""

    def __init__(self, hub: Hub, mailbox: Mailbox) -> None:
        self._hub = hub
        self._mailbox = mailbox
        self._raised = False
        self._waiter: greenlet.greenlet | None = None

    def set(self) -> None:
        # The waiter says that it waits before it looks at the flag, and we raise the flag
        # before we look for a waiter: one of the two sees the other.
        self._raised = True
        if self._waiter is not None:
            self._mailbox.post(self._wake)

    def wait(self, timeout: float | None = None) -> bool:
        self._waiter = greenlet.getcurrent()
        timer: Any = None  # eventlet's
        try:
            if not self._raised:
                if timeout is not None:
                    timer = self._hub.schedule_call_global(timeout, self._wake, True)
                self._hub.switch()
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        raised, self._raised = self._raised, False
        return raised

    def _wake(self, in_any_case: bool = False) -> None:
        if self._waiter is not None and (self._raised or in_any_case):
            self._waiter.switch()


class _Call:
    """A function that a native thread calls for a greenlet."""

    __slots__ = ("args", "error", "function", "result", "waiter")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.result: Any = None
        self.error: BaseException | None = None
        self.waiter: greenlet.greenlet | None = None

    def make(self) -> None:
        try:
            self.result = self.function(*self.args)
        except BaseException as error:  # goes to the caller, whatever it is
            self.error = error

    def over(self) -> None:
        """Called by the hub when it was made."""
        if self.waiter is not None:
            self.waiter.switch()


class _Job(_Call):
    """A function that a native thread calls and nobody waits for."""

    __slots__ = ()

    def over(self) -> None:
        # Here and not in the thread: logging has locks, and those are green.
        if self.error is not None:
            LOG.error("a native job failed", exc_info=self.error)


class _Pool:
    """Native threads that are made when needed and end when idle.

    ``limit`` is their greatest number; beyond it, calls wait. None: there is none.
    """

    def __init__(
        self, native: Native, limit: int | None, done: Callable[[_Call], None]
    ) -> None:
        self._native = native
        self._limit = limit
        self._done = done
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        self._lock = native.allocate_lock()
        self._threads = 0
        self._outstanding = 0

    def put(self, call: _Call) -> None:
        with self._lock:
            self._outstanding += 1
            is_short = self._outstanding > self._threads
            starts = is_short and (self._limit is None or self._threads < self._limit)
            if starts:
                self._threads += 1
        if starts:
            self._start()
        self._calls.put(call)

    def _start(self) -> None:
        """Start a thread. Raises RuntimeError if the call that is to come needs it."""
        try:
            self._native.start_new_thread(self._work, ())
        except RuntimeError:  # the system lets us have no more of them now
            with self._lock:
                self._threads -= 1
                can_wait = self._limit is not None and self._threads > 0
                if not can_wait:
                    self._outstanding -= 1
            if not can_wait:
                raise

    def _work(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=IDLE_S)
            except Empty:
                with self._lock:
                    # Otherwise a call is on its way to us.
                    if self._outstanding < self._threads:
                        self._threads -= 1
                        return
                continue
            call.make()
            with self._lock:
                self._outstanding -= 1
            self._done(call)
            del call  # or its arguments would live until the next one


class Workers:
    """See ``stores.driver.Workers``. One per process, made in the thread that runs the hub.

    ``run`` has a bounded number of threads. ``start`` has not: its jobs may wait for each
    other, and one that did not get a thread would hold up the rest for ever.
    """

    def __init__(self, hub: Hub, native: Native) -> None:
        self._hub = hub
        self._native = native
        self._mailbox = Mailbox(hub)
        self._running = self._pool(MAX_RUNNING)
        self._started = self._pool(None)

    def _pool(self, limit: int | None) -> _Pool:
        return _Pool(self._native, limit, lambda call: self._mailbox.post(call.over))

    def lane(self, limit: int) -> Self:
        lane = copy.copy(self)
        lane._running = lane._started = self._pool(limit)
        return lane

    def run(self, function: Callable[..., T], /, *args: Any) -> T:
        call = _Call(function, args)
        call.waiter = greenlet.getcurrent()
        self._running.put(call)
        try:
            self._hub.switch()
        finally:
            call.waiter = None
        if call.error is not None:
            raise call.error
        return cast(T, call.result)

    def start(self, function: Callable[..., object], /, *args: Any) -> None:
        self._started.put(_Job(function, args))

    def signal(self) -> Signal:
        return Signal(self._hub, self._mailbox)
