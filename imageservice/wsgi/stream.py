"""A client's socket for greenlets: waiting for it lets the other greenlets run.

It uses the hub directly instead of green sockets: the socket stays registered for reading
between two requests and deadlines are looked at once a second for all connections together,
which saves half of the work per request.
"""

import contextlib
import os
import socket
import struct
import time
from typing import Any, Protocol, cast

import greenlet

from imageservice.stores.driver import Buffer
from imageservice.wsgi.transport import Gone, TooSlow

TURN = 1024 * 1024
"""Bytes that one connection moves before others get their turn, however fast its client is."""

LINGER_S = 2.0
LINGER_BYTES = 16 * 1024 * 1024

_RESET = struct.pack("ii", 1, 0)


class Hub(Protocol):
    """What is used of eventlet's hub; the types are as loose as there."""

    READ: str
    WRITE: str

    def add(
        self, kind: str, descriptor: int, ready: Any, throw: Any, closed: Any
    ) -> Any: ...

    def remove(self, listener: Any) -> None: ...

    def switch(self) -> Any: ...

    def schedule_call_global(
        self, seconds: float, function: Any, *args: Any
    ) -> Any: ...


class Stream:
    """One connection, over a socket that does not block; used by one greenlet at a time."""

    sends_files = True

    def __init__(self, sock: socket.socket, hub: Hub, patience: float) -> None:
        self._socket = sock
        self._descriptor = sock.fileno()
        self._hub = hub
        self._patience = patience
        self._listener: Any = None  # the hub's, while registered for reading
        self._reader: greenlet.greenlet | None = None
        self._waiter: greenlet.greenlet | None = None  # the reader, or one that writes
        self._deadline = 0.0
        self._turn = TURN
        self.is_idle = False
        self.idle_since = 0.0

    # --- Transport -----------------------------------------------------------

    def await_request(self, size: int) -> bytes:
        # Asking the socket first would be in vain nearly always.
        self.is_idle = True
        try:
            self.idle_since = time.monotonic()
            self._wait_readable(None)
            return self._socket.recv(size)
        except BlockingIOError:
            return self.recv(size)
        except Gone:
            return self._arrived(size)
        except OSError as error:
            raise Gone(str(error)) from error
        finally:
            self.is_idle = False

    def recv(self, size: int, by: float | None = None) -> bytes:
        while True:
            try:
                data = self._socket.recv(size)
            except BlockingIOError:
                self._wait_readable(by)
            except OSError as error:
                raise Gone(str(error)) from error
            else:
                self._moved(len(data))
                return data

    def recv_into(self, view: memoryview) -> int:
        while True:
            try:
                count = self._socket.recv_into(view)
            except BlockingIOError:
                self._wait_readable(None)
            except OSError as error:
                raise Gone(str(error)) from error
            else:
                self._moved(count)
                return count

    def send(self, data: Buffer, *, more: bool = False) -> None:
        flags = socket.MSG_MORE if more else 0
        while True:
            try:
                sent = self._socket.send(data, flags)
            except BlockingIOError:
                self._wait_writable()
                continue
            except OSError as error:
                raise Gone(str(error)) from error
            # Each send counts for more than its bytes, or one client that sends its requests
            # without waiting for answers could keep everybody else from their turn.
            self._moved(sent + TURN // 16)
            if sent == len(data):
                return
            data = memoryview(data)[sent:]

    def sendfile(self, descriptor: int, offset: int, count: int) -> int | None:
        try:
            sent = os.sendfile(self._descriptor, descriptor, offset, count)
        except BlockingIOError:
            self._wait_writable()
            return None
        except (BrokenPipeError, ConnectionError) as error:
            raise Gone(str(error)) from error
        self._moved(sent)
        return sent

    def linger(self) -> None:
        by = time.monotonic() + LINGER_S
        left = LINGER_BYTES
        try:
            self._socket.shutdown(socket.SHUT_WR)
            while left > 0 and (data := self.recv(TURN // 4, by)):
                left -= len(data)
        except (Gone, OSError):
            pass  # Nothing more can be done for this client.

    def abort(self) -> None:
        # Closing sends RST now instead of FIN: without a length, a client would take
        # the end of the connection for the end of the answer.
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        self._unregister()
        self._socket.close()

    # --- for the server ------------------------------------------------------

    def look(self, now: float) -> None:
        """Wake the greenlet if it has waited too long. Called by the hub itself."""
        if self._waiter is not None and now > self._deadline:
            self._waiter.throw(TooSlow("no byte moved for too long"))

    def end(self) -> None:
        """Wake the greenlet and have it give up. Called by the hub itself."""
        if self._waiter is not None:
            self._waiter.throw(Gone("the server ends"))

    def end_if_idle(self) -> None:
        """Close if no request is under way. Called by the hub itself."""
        if self.is_idle:
            self.end()

    # --- waiting -------------------------------------------------------------

    def _arrived(self, size: int) -> bytes:
        """Return what came in the very moment when waiting for it was given up."""
        try:
            return self._socket.recv(size)
        except OSError:
            return b""

    def _wait_readable(self, by: float | None) -> None:
        if self._listener is None:
            self._listener = self._hub.add(
                self._hub.READ, self._descriptor, self._readable, None, None
            )
        self._reader = greenlet.getcurrent()
        try:
            self._wait(by)
        finally:
            self._reader = None

    def _readable(self, descriptor: int) -> None:
        if self._reader is not None:
            self._reader.switch()
        else:
            # The client sends while its greenlet is busy with something else: listening
            # on would wake the hub for nothing, again and again.
            self._unregister()

    def _unregister(self) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            self._hub.remove(listener)

    def _wait_writable(self) -> None:
        current = greenlet.getcurrent()
        listener = self._hub.add(
            self._hub.WRITE, self._descriptor, current.switch, None, None
        )
        try:
            self._wait(None)
        finally:
            self._hub.remove(listener)

    def _wait(self, by: float | None) -> None:
        self._deadline = time.monotonic() + self._patience if by is None else by
        self._waiter = greenlet.getcurrent()
        self._turn = TURN
        try:
            self._hub.switch()
        finally:
            self._waiter = None

    def _moved(self, count: int) -> None:
        self._turn -= count
        if self._turn <= 0:
            self._turn = TURN
            self._hub.schedule_call_global(0, cast(Any, greenlet.getcurrent()).switch)
            self._hub.switch()
