"""What the HTTP code needs of a connection; the daemon's, over sockets or TLS, are two of them."""

from typing import Protocol

from imageservice.stores.driver import Buffer


class Gone(Exception):
    """The client has left, or the connection is of no use any more."""


class TooSlow(Gone):
    """The client took longer for a read or write than it is given."""


class Transport(Protocol):
    """One connection. Waiting holds up nobody else; every call may raise Gone or TooSlow."""

    #: Whether sendfile() works here.
    sends_files: bool

    def await_request(self, size: int) -> bytes:
        """Receive the first bytes of a request; empty if there will be none.

        Meanwhile the connection counts as idle and may be closed by the server.
        """
        ...

    def recv(self, size: int, by: float | None = None) -> bytes:
        """Receive 1 to ``size`` bytes, empty at the end.

        ``by`` is the monotonic time to give up at, None the usual patience from now.
        """
        ...

    def recv_into(self, view: memoryview) -> int:
        """Receive into ``view`` what is there; 0 at the end."""
        ...

    def send(self, data: Buffer, *, more: bool = False) -> None:
        """Send all of ``data``; ``more`` promises that a send or sendfile follows at once."""
        ...

    def sendfile(self, descriptor: int, offset: int, count: int) -> int | None:
        """Send some bytes of an open file; 0 if it ends at ``offset``.

        None if nothing went because the client had to be waited for: the bytes may
        have left the memory meanwhile, look again.
        """
        ...

    def linger(self) -> None:
        """End our side, and read a while so that the client gets to read the answer."""
        ...

    def abort(self) -> None:
        """End the connection so that the client cannot take what it got for the whole."""
        ...

    def close(self) -> None:
        """Close; may be called again."""
        ...
