"""Names of hosts become addresses: once for each connection, and in bounded time."""

import functools
import ipaddress
import socket
from collections.abc import Sequence
from typing import Protocol

from imageservice import errors
from imageservice.outbound.addresses import Address
from imageservice.stores.driver import Workers
from imageservice.stores.patience import Patience

MAY_HANG = 16
"""Resolutions that may wait at a time; a resolver can be slow for reasons of a user's."""


class Resolver(Protocol):
    """Finds all addresses of a name. Raises OutboundFailed."""

    def __call__(self, name: str, /) -> Sequence[Address]: ...


class System:
    """Asks the machine's resolver, in a native thread because that blocks."""

    def __init__(self, workers: Workers, timeout_s: int) -> None:
        self._patience = Patience("name service", workers, timeout_s, MAY_HANG)

    def __call__(self, name: str, /) -> Sequence[Address]:
        try:
            return self._patience.call(functools.partial(_look_up, name))
        except errors.StoreUnavailable as error:
            reason = f"{name}: {error.values['reason']}"
            raise errors.OutboundFailed(reason=reason) from error


def _look_up(name: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise errors.OutboundFailed(reason=f"{name}: {error}") from error
    texts = dict.fromkeys(str(entry[4][0]) for entry in found)
    return [ipaddress.ip_address(text) for text in texts]
