"""A connection to an address that was checked, which only gives so much time.

The waiting is done by ``select``, green in the daemon: so this is for request code, never
for a native thread. Not by the socket's own timeout: eventlet lets that begin anew with each
byte of a TLS record or handshake, which a server may send one by one for days.
"""

import contextlib
import dataclasses
import functools
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Self, TypeVar

from imageservice import errors
from imageservice.outbound.addresses import Address
from imageservice.outbound.target import Target

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How much patience a server gets.

    ``connect_s`` is for all addresses and TLS together. ``read_s`` is the longest that
    nothing may come, and within which the whole head of an answer has to come. Over
    ``read_s`` of waiting at least ``rate`` bytes per second have to come; time that the
    reader takes for itself does not count. ``total`` is bytes of one answer, None for
    any number.
    """

    connect_s: float = 5.0
    read_s: float = 30.0
    rate: int = 16 * 1024
    total: int | None = None


def tls_context(ca_file: str | None, *, insecure: bool = False) -> ssl.SSLContext:
    """How servers are verified; ``ca_file`` takes the place of the system's authorities.

    Raises Misconfigured when the file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:  # of which SSLError is one
        raise errors.Misconfigured(reason=f"{ca_file}: {error}") from error
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def failure(target: Target, error: object) -> errors.OutboundFailed:
    return errors.OutboundFailed(reason=f"{target}: {error}")


class Connection:
    """A socket, read with a watch in the hand."""

    def __init__(self, target: Target, plug: socket.socket, limits: Limits) -> None:
        self._target = target
        self._socket: socket.socket | None = plug
        self._limits = limits
        self._waited = 0.0  # seconds since the rate was looked at
        self._received = 0  # bytes in that time

    @classmethod
    def open(
        cls,
        target: Target,
        found: Sequence[Address],
        limits: Limits,
        context: ssl.SSLContext,
    ) -> Self:
        """Connect to the first of the addresses that answers. Raises OutboundFailed."""
        deadline = time.monotonic() + limits.connect_s
        trouble: OSError = TimeoutError("no time left to connect")
        for address in found:
            if time.monotonic() >= deadline:
                break
            try:
                plug = _connected(address, target.port, deadline)
            except OSError as error:
                trouble = error
                continue
            try:
                return cls(target, _secured(plug, target, context, deadline), limits)
            except BaseException as error:
                plug.close()
                # A certificate that is wrong here is wrong at the other addresses, too.
                if isinstance(error, OSError | ValueError):
                    raise failure(target, error) from error
                raise
        raise failure(target, trouble) from trouble

    def send(self, data: bytes) -> None:
        """Raises OutboundFailed."""
        plug = self._opened()
        deadline = time.monotonic() + self._limits.read_s
        try:
            while data:
                send = functools.partial(plug.send, data)
                data = data[_patiently(plug, send, deadline, sends=True) :]
        except OSError as error:
            raise failure(self._target, error) from error

    def receive(self, buffer: memoryview, deadline: float | None = None) -> int:
        """Fill the buffer with what is there; 0 at the end of the connection.

        Raises OutboundFailed when it takes too long or comes too slowly.
        """
        plug = self._opened()
        begun = time.monotonic()
        until = deadline or begun + self._limits.read_s
        try:
            count = _patiently(plug, lambda: plug.recv_into(buffer), until)
        except OSError as error:
            raise failure(self._target, error) from error
        self._watch(time.monotonic() - begun, count)
        return count

    def _watch(self, waited: float, count: int) -> None:
        self._waited += waited
        self._received += count
        if self._waited < self._limits.read_s:
            return
        if self._received < self._limits.rate * self._waited:
            came = f"only {self._received} bytes in {self._waited:.0f} s"
            raise failure(self._target, came)
        self._waited, self._received = 0.0, 0

    def _opened(self) -> socket.socket:
        if self._socket is None:
            raise failure(self._target, "closed")
        return self._socket

    def close(self) -> None:
        plug, self._socket = self._socket, None
        if plug is not None:
            with contextlib.suppress(OSError):
                plug.close()


def _connected(address: Address, port: int, deadline: float) -> socket.socket:
    # By the address itself: create_connection would ask the resolver once more.
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    plug = socket.socket(family, socket.SOCK_STREAM)
    try:
        plug.settimeout(max(deadline - time.monotonic(), 0.001))
        plug.connect((str(address), port))
        plug.setblocking(False)
    except BaseException:
        plug.close()
        raise
    return plug


def _secured(
    plug: socket.socket, target: Target, context: ssl.SSLContext, deadline: float
) -> socket.socket:
    if target.scheme != "https":
        return plug
    secured = context.wrap_socket(
        plug, server_hostname=target.host, do_handshake_on_connect=False
    )
    try:
        _patiently(secured, secured.do_handshake, deadline)
    except BaseException:
        secured.close()
        raise
    return secured


def _patiently(
    plug: socket.socket, call: Callable[[], T], deadline: float, *, sends: bool = False
) -> T:
    """Call until it need not wait. Raises OSError, TimeoutError after the deadline."""
    while True:
        try:
            return call()
        except ssl.SSLWantReadError:
            waits_to_send = False
        except ssl.SSLWantWriteError:
            waits_to_send = True
        except BlockingIOError:
            waits_to_send = sends
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        # Not select(), which knows no descriptor above 1023.
        with selectors.DefaultSelector() as waiting:
            event = selectors.EVENT_WRITE if waits_to_send else selectors.EVENT_READ
            waiting.register(plug, event)
            waiting.select(left)
