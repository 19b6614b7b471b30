"""The daemon's server in one process, on greenlets: THE ONLY MODULE THAT IMPORTS EVENTLET.

Importing it patches the standard library: sockets, threads, time and queues yield to other
greenlets from then on. Whatever keeps a lock or a thread-local must be imported after it.
"""

import enum
import functools
import logging
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from imageservice.wsgi import http, natives, tls
from imageservice.wsgi.options import Settings
from imageservice.wsgi.stream import Stream
from imageservice.wsgi.transport import Gone, Transport

# Eventlet's own resolver knows nothing of nsswitch and costs 8 MiB; see workers().
os.environ["EVENTLET_NO_GREENDNS"] = "yes"

with warnings.catch_warnings():
    # Known, and the reason why it is kept to this module.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet
    from eventlet import hubs, patcher
    from eventlet.green import socket as green_socket

eventlet.monkey_patch(socket=True, select=True, thread=True, time=True, psycopg=True)

LOG = logging.getLogger(__name__)

_native_socket = patcher.original("socket")
_native_thread = patcher.original("_thread")

LOOK_S = 1.0
"""Seconds between two looks for connections that are too slow."""

POLL_S = 0.05

JOBS_S = 5.0
"""Seconds that background jobs, and requests that were cut off, have to clear up."""


class Application(Protocol):
    """A WSGI application with jobs that run beside the requests until ``stop`` is set."""

    @property
    def background(self) -> Iterable[Callable[[threading.Event], None]]: ...

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]: ...


def begin() -> None:
    """Take a fresh hub: a forked child must not share its parent's."""
    hubs.use_hub()


def workers() -> natives.Workers:
    """Make this process's native threads, and have them look up the names of hosts."""
    made = natives.Workers(hubs.get_hub(), _native_thread)
    home = _native_thread.get_ident()

    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:  # as socket.getaddrinfo
        look_up = functools.partial(_native_socket.getaddrinfo, *args, **kwargs)
        # In a native thread it may block, and there is no greenlet that could wait.
        is_green = _native_thread.get_ident() == home
        return made.run(look_up) if is_green else look_up()

    for module in (socket, green_socket):
        vars(module)["getaddrinfo"] = getaddrinfo
    return made


class Order(enum.Enum):
    """What the supervisor wants of a running server; the value is the byte that says it."""

    STOP = (
        b"s"  # end, and give requests under way the time of graceful_shutdown_timeout
    )
    RETIRE = b"r"  # others have taken over: end when all that was begun has ended


class Server:
    """Accepts connections on a listening socket and serves each in a greenlet."""

    def __init__(
        self,
        listener: int,
        app: Application,
        settings: Settings,
        threads: natives.Workers,
    ) -> None:
        """``listener`` is the descriptor of a socket that listens; it is closed in the end.

        Raises Misconfigured if the certificate cannot be read.
        """
        self._listener = _native_socket.socket(fileno=listener)
        self._listener.setblocking(False)
        self._is_unix = self._listener.family == socket.AF_UNIX
        self._app = app
        self._settings = settings
        self._hub = hubs.get_hub()
        self._tls = tls.context(settings)
        self._site = http.Site(app, threads, settings, self._may_keep)
        self._streams: set[Stream] = set()
        self._order: Order | None = None
        self._ordered = threading.Event()
        self._is_crowded = False

    def run(self, control: int) -> None:
        """Serve until an Order arrives on the pipe ``control``, or its other end is closed."""
        stop = threading.Event()
        jobs = [
            eventlet.spawn(_job, function, stop) for function in self._app.background
        ]
        acceptor = eventlet.spawn(self._accept)
        eventlet.spawn_n(self._obey, control)
        self._look()
        self._ordered.wait()
        acceptor.kill()
        self._listener.close()
        self._drain()
        stop.set()
        with eventlet.Timeout(JOBS_S, False):
            for job in jobs:
                job.wait()

    # --- connections ---------------------------------------------------------

    def _accept(self) -> None:
        while True:
            hubs.trampoline(self._listener, read=True)
            self._make_room()
            try:
                client, address = self._listener.accept()
            except BlockingIOError:
                continue  # Another process was faster.
            except OSError as error:  # no more descriptors, mostly
                LOG.warning("cannot accept a connection: %s", error)
                eventlet.sleep(LOOK_S)
                continue
            client.setblocking(False)
            stream = Stream(client, self._hub, self._settings.client_socket_timeout)
            self._streams.add(stream)
            eventlet.spawn_n(self._serve, stream, self._addresses(client, address))
            eventlet.sleep(0)  # so that an idle process gets the next one

    def _addresses(self, client: Any, address: Any) -> http.Addresses:
        """Addresses have other shapes in each family, and so no type."""
        if self._is_unix:
            return http.Addresses("localhost", "80", "", "")
        server, port = client.getsockname()[:2]
        return http.Addresses(server, str(port), address[0], str(address[1]))

    def _serve(self, stream: Stream, addresses: http.Addresses) -> None:
        try:
            transport: Transport = stream
            if self._tls is not None:
                transport = secured = tls.Tls(stream, self._tls)
                secured.handshake(self._settings.client_head_timeout)
            environ = http.environ_of(
                addresses,
                secure=self._tls is not None,
                multiprocess=self._settings.workers > 1,
            )
            http.Connection(self._site, transport, environ).serve()
        except Gone as error:
            LOG.debug("no connection with %s: %s", addresses.client, error)
        except (
            Exception
        ):  # the outermost frame of a connection: nothing is above to care
            LOG.exception("the connection with %s failed", addresses.client)
        finally:
            stream.close()
            self._streams.discard(stream)

    def _may_keep(self) -> bool:
        return (
            self._settings.http_keepalive
            and self._order is None
            and not self._is_crowded
        )

    def _make_room(self) -> None:
        """Wait until there are fewer than max_connections; idle ones make room first."""
        while len(self._streams) >= self._settings.max_connections:
            self._is_crowded = True
            idle = [stream for stream in self._streams if stream.is_idle]
            if idle:
                oldest = min(idle, key=lambda stream: stream.idle_since)
                self._hub.schedule_call_global(0, oldest.end_if_idle)
            eventlet.sleep(0.01)
        self._is_crowded = False

    def _look(self) -> None:
        self._hub.schedule_call_global(LOOK_S, self._look)
        now = time.monotonic()
        for stream in tuple(self._streams):
            stream.look(now)

    # --- the end -------------------------------------------------------------

    def _obey(self, control: int) -> None:
        while self._order is not Order.STOP:
            hubs.trampoline(control, read=True)
            # An empty answer: the supervisor is dead, and nobody would ever stop us.
            self._order = Order(os.read(control, 1) or Order.STOP.value)
            self._ordered.set()

    def _drain(self) -> None:
        """Let the requests under way end; cut off what takes too long after STOP."""
        patience = self._settings.graceful_shutdown_timeout
        idle_until = time.monotonic() + patience
        until = None
        while self._streams and (until is None or time.monotonic() < until):
            if self._order is Order.STOP and until is None:
                until = time.monotonic() + patience
            # A retiring process answers one more request on each idle connection, or
            # a client that is about to send one would find it closed.
            if until is not None or time.monotonic() > idle_until:
                self._all(Stream.end_if_idle)
            eventlet.sleep(POLL_S)
        if self._streams:
            LOG.warning("%d connections are cut off at the end", len(self._streams))
            until = time.monotonic() + JOBS_S
            while self._streams and time.monotonic() < until:
                # Again and again: what works in a native thread waits for nothing yet.
                self._all(Stream.end)
                eventlet.sleep(POLL_S)

    def _all(self, call: Callable[[Stream], None]) -> None:
        for stream in self._streams:
            self._hub.schedule_call_global(0, call, stream)


def _job(function: Callable[[threading.Event], None], stop: threading.Event) -> None:
    try:
        function(stop)
    except Exception:  # the outermost frame of a job: nothing is above to care
        LOG.exception("a background job ended")
