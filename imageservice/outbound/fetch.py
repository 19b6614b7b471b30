"""The door: every connection to an address that a user chose is made here."""

import dataclasses
import logging
import ssl
from collections.abc import Mapping, Sequence

from imageservice import errors
from imageservice.outbound.addresses import Address
from imageservice.outbound.connection import Connection, Limits, failure
from imageservice.outbound.names import Resolver
from imageservice.outbound.response import Response
from imageservice.outbound.rules import Rules
from imageservice.outbound.target import Target, refusal

LOG = logging.getLogger(__name__)

REDIRECTS = 5

REDIRECTING = frozenset({301, 302, 303, 307, 308})

NOTHING: Mapping[str, str] = {}


@dataclasses.dataclass(frozen=True, slots=True)
class Fetcher:
    """Checks where URLs lead, and fetches what is there.

    No proxy, no credentials and no other setting is taken from the environment.
    """

    rules: Rules
    resolve: Resolver
    tls: ssl.SSLContext
    limits: Limits = Limits()

    def check(self, url: str) -> None:
        """Raise OutboundRefused if ``open`` would, OutboundFailed if the name is unknown.

        For telling users early; ``open`` does it all again, because the name may lead
        elsewhere by then.
        """
        try:
            self._addresses(Target.parse(url))
        except (errors.OutboundRefused, errors.OutboundFailed) as error:
            _note(error)
            raise

    def open(
        self,
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] = NOTHING,
        secrets: Mapping[str, str] = NOTHING,
    ) -> Response:
        """Ask for ``url`` and follow redirects, each checked as the URL was.

        ``method`` is GET or HEAD. ``secrets`` are headers that only the host of ``url``
        gets to see. Any status that is no redirect comes back; the caller closes it.

        Raises OutboundRefused, OutboundFailed.
        """
        try:
            return self._open(Target.parse(url), method, headers, secrets)
        except (errors.OutboundRefused, errors.OutboundFailed) as error:
            _note(error)
            raise

    def _open(
        self,
        target: Target,
        method: str,
        headers: Mapping[str, str],
        secrets: Mapping[str, str],
    ) -> Response:
        first = target
        if target.authorization is not None:
            secrets = {"Authorization": target.authorization, **secrets}
        for _ in range(REDIRECTS + 1):
            if target.origin != first.origin:
                secrets = NOTHING  # also if a later redirect leads back
            response = self._ask(target, method, {**headers, **secrets})
            location = response.headers.get("location")
            if response.status not in REDIRECTING or location is None:
                return response
            response.close()
            target = target.follow(location)
        raise failure(first, f"more than {REDIRECTS} redirects")

    def _addresses(self, target: Target) -> Sequence[Address]:
        """Resolve once and judge all that was found: what is returned may be used."""
        self.rules.check(target)
        found = [target.address] if target.address else self.resolve(target.host)
        if not found:
            raise failure(target, "the name has no address")
        self.rules.check_addresses(target, found)
        return found

    def _ask(self, target: Target, method: str, headers: Mapping[str, str]) -> Response:
        found = self._addresses(target)
        connection = Connection.open(target, found, self.limits, self.tls)
        try:
            connection.send(_request(target, method, headers))
            return Response(target, connection, self.limits, method)
        except BaseException:
            connection.close()
            raise


def _request(target: Target, method: str, headers: Mapping[str, str]) -> bytes:
    fields = {
        "Host": target.authority,
        "User-Agent": "imageservice",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **headers,
    }
    lines = [f"{method} {target.wanted} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    if any(not line.isprintable() or not line.isascii() for line in lines):
        raise refusal("a header that cannot be sent")
    return "\r\n".join([*lines, "", ""]).encode()


def _note(error: errors.Error) -> None:
    """Log the reason, which the user is not told (contract operations.md §8.2)."""
    LOG.warning("outbound: %s", error.values["reason"])
