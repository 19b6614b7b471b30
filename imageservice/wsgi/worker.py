"""A worker process as its supervisor sees it, and what it does from fork to exit."""

import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from imageservice import errors
from imageservice.stores.driver import Workers
from imageservice.wsgi.options import Settings

if TYPE_CHECKING:
    from imageservice.wsgi.server import Application

LOG = logging.getLogger(__name__)

SIGNALS = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD))
"""What the supervisor waits for. Workers take their orders from a pipe instead."""

_READY = b"ready "
_FAILED = b"failed "
_MESSAGE = 4096
"""Bytes of a message; a pipe takes them in one piece."""


class Built(NamedTuple):
    """An application and the settings of its server, both from the same configuration."""

    app: "Application"
    settings: Settings


Build = Callable[[Workers], Built]


class Worker:
    """A child process. ``wanted`` is how many workers its configuration asks for."""

    def __init__(self, pid: int, control: int, report: int) -> None:
        self.pid = pid
        self.started = time.monotonic()
        self.wanted: int | None = None  # None until it is ready
        self.failure: str | None = None
        self._control = control
        self._report = report

    @property
    def is_ready(self) -> bool:
        return self.wanted is not None

    @property
    def descriptors(self) -> tuple[int, int]:
        return self._control, self._report

    def hear(self) -> None:
        """Take note of what the process has reported, if it has."""
        try:
            message = os.read(self._report, _MESSAGE)
        except BlockingIOError:
            return
        if message.startswith(_READY):
            self.wanted = int(message.removeprefix(_READY))
        elif message.startswith(_FAILED):
            self.failure = message.removeprefix(_FAILED).decode()

    def order(self, order: bytes) -> None:
        """Send a ``server.Order``; one that has just died needs none."""
        try:
            os.write(self._control, order)
        except BrokenPipeError:
            LOG.debug("worker %d has gone", self.pid)

    def kill(self) -> None:
        """End it at once. It is our child and not yet reaped, so the id is its own."""
        os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Forget the process when it has been reaped."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def fork(build: Build, listener: int, others: Iterable[int]) -> Worker:
    """Start a worker; ``others`` are descriptors that it must not hold open."""
    control_out, control_in = os.pipe()
    report_out, report_in = os.pipe()
    os.set_blocking(report_out, False)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        for descriptor in (control_in, report_out, *others):
            os.close(descriptor)
        _live(build, listener, control_out, report_in)
    os.close(control_out)
    os.close(report_in)
    return Worker(pid, control_in, report_out)


def _live(build: Build, listener: int, control: int, report: int) -> NoReturn:
    """Be the worker. Nothing of the supervisor's stack may run again in this process."""
    status = 1
    try:
        _ignore_signals()
        # Not imported above: it patches the standard library. A main process that has done
        # so before it loaded the rest shares its memory with us: 68 MiB instead of 143
        # for two workers (PSS).
        server = importlib.import_module("imageservice.wsgi.server")
        server.begin()
        threads = server.workers()
        built = build(threads)
        serving = server.Server(listener, built.app, built.settings, threads)
        os.write(report, _READY + b"%d" % built.settings.workers)
        serving.run(control)
        status = 0
    except errors.Error as error:
        _fail(report, str(error))
    except BaseException as error:  # the end of the process, whatever it is
        LOG.exception("a worker failed")
        _fail(report, f"{type(error).__name__}: {error}")
    finally:
        logging.shutdown()
        os._exit(status)


def _ignore_signals() -> None:
    """Leave signals to the supervisor: a terminal or systemd sends them to us all.

    Handlers that do nothing are not inherited by programs that we start, unlike SIG_IGN.
    """
    for number in SIGNALS - {signal.SIGCHLD}:
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _fail(report: int, reason: str) -> None:
    os.write(report, (_FAILED + reason.encode())[: _MESSAGE - 1])
