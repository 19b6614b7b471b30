"""The main process: it owns the listening socket and keeps the workers running.

Workers are forked and build the application themselves, so that each generation reads the
configuration anew. The main process itself serves nobody and runs no greenlet; it sleeps
in ``sigtimedwait``. TERM and INT drain and end, a second one ends at once; HUP has new
workers take over.
"""

import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from imageservice import errors
from imageservice.wsgi import listener as listeners
from imageservice.wsgi import worker as processes
from imageservice.wsgi.options import Settings
from imageservice.wsgi.worker import SIGNALS, Build, Worker

LOG = logging.getLogger(__name__)

STARTING_S = 0.05
"""Seconds between two looks at workers that are starting."""

SETTLED_S = 10.0
"""Seconds after which the death of a worker is an accident and not a habit."""

MAX_PAUSE_S = 30.0

OVERDUE_S = 15.0
"""Seconds beyond graceful_shutdown_timeout after which a worker is killed."""

_STOP = b"s"
_RETIRE = b"r"


class Generation:
    """Workers of one configuration. The first has to be ready before the others start.

    So a configuration that cannot work fails once, and an empty database is set up once.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.workers: dict[int, Worker] = {}
        self.was_ready = False
        self._deaths = 0  # one shortly after the other
        self._not_before = 0.0

    @property
    def is_complete(self) -> bool:
        ready = sum(worker.is_ready for worker in self.workers.values())
        return self.was_ready and ready >= self.wanted

    def missing(self, now: float) -> int:
        """Return how many workers are to be started now."""
        if now < self._not_before:
            return 0
        return (self.wanted if self.was_ready else 1) - len(self.workers)

    def pause(self, now: float) -> float | None:
        """Return the seconds until workers can be started; None if there is nothing to wait for."""
        return self._not_before - now if now < self._not_before else None

    def hear(self) -> None:
        for worker in self.workers.values():
            if not worker.is_ready:
                worker.hear()
                if worker.wanted is not None:
                    self.was_ready = True
                    self.wanted = worker.wanted

    def lost(self, worker: Worker, now: float) -> None:
        """Decide when a worker that has died is replaced: soon, unless they die in series."""
        del self.workers[worker.pid]
        if now - worker.started > SETTLED_S:
            self._deaths = 0
        else:
            self._deaths += 1
            self._not_before = now + min(MAX_PAUSE_S, 2.0 ** (self._deaths - 1))


class Supervisor:
    """Runs the daemon: ``build`` is called in each worker, with its native threads."""

    def __init__(self, settings: Settings, build: Build) -> None:
        self._settings = settings
        self._build = build
        self._current = Generation(settings.workers)
        self._next: Generation | None = None
        self._old: dict[int, Worker] = {}
        self._stops_at: float | None = None  # monotonic; what still runs then is killed
        self._status = 0
        self._listener: socket.socket | None = None

    def run(self) -> int:
        """Listen and serve until told to end; return the exit status of the process.

        Raises Misconfigured if it is impossible to listen or the first worker cannot be
        built.
        """
        self._listener = listeners.listen(self._settings)
        where = listeners.address(
            self._listener, secure=self._settings.tls_cert_file is not None
        )
        pid_file = _PidFile(self._settings.pid_file)
        old_handlers = {number: signal.signal(number, _nothing) for number in SIGNALS}
        old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            pid_file.write()
            # What is loaded by now is shared by all workers, as long as nobody touches it.
            gc.collect()
            gc.freeze()
            self._serve(where)
        finally:
            self._kill_all()
            self._stop_listening()
            pid_file.remove()
            signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
            for number, handler in old_handlers.items():
                signal.signal(number, handler)
        return self._status

    # --- the loop ------------------------------------------------------------

    def _serve(self, where: str) -> None:
        announced = False
        while True:
            self._reap()
            if self._stops_at is None:
                self._advance()
            elif not any(True for _ in self._all()):
                return
            if self._current.is_complete and not announced:
                announced = True
                LOG.info("%d workers serve %s", self._current.wanted, where)
            info = signal.sigtimedwait(SIGNALS, self._timeout())
            if info is not None:
                self._handle(info.si_signo)

    def _timeout(self) -> float:
        """Return the seconds until something is due that no signal tells."""
        now = time.monotonic()
        if self._stops_at is not None:
            # A process that hangs in the kernel outlives even SIGKILL.
            return max(STARTING_S, self._stops_at - now)
        generations = [self._current, *([self._next] if self._next else [])]
        if any(not g.is_complete and g.workers for g in generations):
            return STARTING_S
        pauses = [pause for g in generations if (pause := g.pause(now)) is not None]
        return min(pauses, default=3600.0)

    def _handle(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP and self._stops_at is None:
            LOG.info("SIGHUP: starting workers with the configuration of now")
            self._abandon_next()
            self._next = Generation(self._current.wanted)

    def _advance(self) -> None:
        """Start what is missing, and let a complete new generation take over."""
        now = time.monotonic()
        for generation in (self._current, self._next):
            if generation is not None:
                generation.hear()
                for _ in range(generation.missing(now)):
                    self._fork(generation)
        if self._next is not None and self._next.is_complete:
            LOG.info("the new workers have taken over")
            for worker in self._current.workers.values():
                worker.order(_RETIRE)
            self._old |= self._current.workers
            self._current, self._next = self._next, None

    def _stop(self) -> None:
        if self._stops_at is not None:
            LOG.warning("told to end again: ending at once")
            self._kill_all()
            return
        LOG.info("ending when the requests under way have ended")
        patience = self._settings.graceful_shutdown_timeout
        self._stops_at = time.monotonic() + patience + OVERDUE_S
        self._stop_listening()
        for worker in self._all():
            worker.order(_STOP)

    # --- processes -----------------------------------------------------------

    def _all(self) -> Iterator[Worker]:
        yield from self._current.workers.values()
        if self._next is not None:
            yield from self._next.workers.values()
        yield from self._old.values()

    def _fork(self, generation: Generation) -> None:
        assert self._listener is not None
        held = [
            descriptor for worker in self._all() for descriptor in worker.descriptors
        ]
        made = processes.fork(self._build, self._listener.fileno(), held)
        generation.workers[made.pid] = made

    def _reap(self) -> None:
        if self._stops_at is not None and time.monotonic() > self._stops_at:
            self._kill_all()
        for worker in tuple(self._all()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._died(worker, os.waitstatus_to_exitcode(status))

    def _died(self, worker: Worker, status: int) -> None:
        worker.hear()
        worker.close()
        if self._old.pop(worker.pid, None) is not None:
            return
        if self._next is not None and worker.pid in self._next.workers:
            self._next.lost(worker, time.monotonic())
            if self._stops_at is None:
                self._keep_current(worker, status)
            return
        was_ready = self._current.was_ready
        self._current.lost(worker, time.monotonic())
        if self._stops_at is not None:
            return
        if not was_ready:
            raise errors.Misconfigured(reason=_reason(worker, status))
        LOG.error(
            "worker %d ended: %s; starting another", worker.pid, _reason(worker, status)
        )

    def _keep_current(self, worker: Worker, status: int) -> None:
        LOG.error(
            "the new configuration does not work, the old one stays: %s",
            _reason(worker, status),
        )
        self._abandon_next()

    def _abandon_next(self) -> None:
        if self._next is not None:
            for worker in self._next.workers.values():
                worker.kill()
            self._old |= self._next.workers
            self._next = None

    def _kill_all(self) -> None:
        for worker in self._all():
            worker.kill()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            if self._settings.bind_socket is not None:
                Path(self._settings.bind_socket).unlink(missing_ok=True)


class _PidFile:
    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path is not None else None
        self._is_ours = False

    def write(self) -> None:
        if self._path is not None:
            try:
                self._path.write_text(f"{os.getpid()}\n")
                self._is_ours = True
            except OSError as error:
                raise errors.Misconfigured(
                    reason=f"pid_file {self._path} cannot be written: {error.strerror}"
                ) from error

    def remove(self) -> None:
        if self._path is not None and self._is_ours:
            self._path.unlink(missing_ok=True)


def _reason(worker: Worker, status: int) -> str:
    if worker.failure is not None:
        return worker.failure
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def _nothing(*_: object) -> None:
    """Handle a signal that sigtimedwait is to see: without a handler it may be discarded."""
