"""TLS on top of another transport, in memory: the sockets below need not know of it."""

import contextlib
import functools
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

from imageservice import errors
from imageservice.stores.driver import Buffer
from imageservice.wsgi.options import Settings
from imageservice.wsgi.transport import Gone, Transport

T = TypeVar("T")

RECORDS = 64 * 1024
"""Bytes that are received, or encrypted, at a time."""


def context(settings: Settings) -> ssl.SSLContext | None:
    """Read the certificate; None if TLS is off. Raises Misconfigured."""
    if settings.tls_cert_file is None:
        if settings.tls_key_file is not None:
            raise errors.Misconfigured(
                reason="tls_key_file is set, but tls_cert_file is not"
            )
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    except OSError as error:  # ssl.SSLError is one, too
        raise errors.Misconfigured(
            reason=f"tls_cert_file {settings.tls_cert_file} with tls_key_file "
            f"{settings.tls_key_file or '(unset)'} cannot be used: {error}"
        ) from error
    return made


class Tls:
    """A transport that encrypts what goes through the one below."""

    sends_files = False

    def __init__(self, below: Transport, made: ssl.SSLContext) -> None:
        self._below = below
        self._received = ssl.MemoryBIO()
        self._to_send = ssl.MemoryBIO()
        self._tls = made.wrap_bio(self._received, self._to_send, server_side=True)

    def handshake(self, seconds: float) -> None:
        """Agree on keys. Raises Gone, also when the client does not speak TLS."""
        by = time.monotonic() + seconds
        self._must(self._tls.do_handshake, lambda: self._below.recv(RECORDS, by))

    def await_request(self, size: int) -> bytes:
        return self._read(size, lambda: self._below.await_request(RECORDS))

    def recv(self, size: int, by: float | None = None) -> bytes:
        return self._read(size, lambda: self._below.recv(RECORDS, by))

    def recv_into(self, view: memoryview) -> int:
        data = self.recv(len(view))
        view[: len(data)] = data
        return len(data)

    def send(self, data: Buffer, *, more: bool = False) -> None:
        view = memoryview(data)
        for start in range(0, len(view), RECORDS):
            write = functools.partial(self._tls.write, view[start : start + RECORDS])
            self._must(write, self._receive)

    def sendfile(self, descriptor: int, offset: int, count: int) -> int | None:
        raise NotImplementedError("the kernel cannot encrypt for us; see sends_files")

    def linger(self) -> None:
        self._say_goodbye()
        self._below.linger()

    def abort(self) -> None:
        self._below.abort()

    def close(self) -> None:
        self._below.close()

    def _read(self, size: int, receive: Callable[[], bytes]) -> bytes:
        try:
            return self._call(lambda: self._tls.read(size), receive)
        except (
            ssl.SSLError
        ):  # the end, with or without goodbye: bodies know their length
            return b""

    def _must(self, function: Callable[[], T], receive: Callable[[], bytes]) -> T:
        """As ``_call``, where the client's end of TLS comes too early."""
        try:
            return self._call(function, receive)
        except ssl.SSLError as error:
            raise Gone(f"TLS ended: {error.reason}") from error

    def _call(self, function: Callable[[], T], receive: Callable[[], bytes]) -> T:
        """Call into TLS until it has got all it wants to read, and send what it says."""
        while True:
            try:
                result = function()
            except ssl.SSLWantReadError:
                self._flush()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                raise
            except ssl.SSLError as error:
                self._flush()
                raise Gone(f"TLS failed: {error.reason}") from error
            else:
                self._flush()
                return result
            if data := receive():
                self._received.write(data)
            else:
                self._received.write_eof()

    def _receive(self) -> bytes:
        return self._below.recv(RECORDS)

    def _flush(self) -> None:
        if data := self._to_send.read():
            self._below.send(data)

    def _say_goodbye(self) -> None:
        # It wants to hear the client's goodbye, too, for which nobody waits.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        with contextlib.suppress(Gone):
            self._flush()
