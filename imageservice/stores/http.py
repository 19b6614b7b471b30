"""The http store: images that lie on web servers of others, for reading only.

A location is the URL itself, as a user registered it. So each request passes the
outbound filter anew, with all redirects: what was a good address once may lead into our
own network today.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Self

from oslo_config import cfg

from imageservice import errors
from imageservice.outbound import connection, names, rules
from imageservice.outbound.fetch import NOTHING, Fetcher
from imageservice.outbound.response import Response
from imageservice.outbound.target import Target
from imageservice.stores.driver import Capability, Driver, Reader, Workers, Written

LOG = logging.getLogger(__name__)

GONE = frozenset({404, 410})

#: Answers to HEAD that say nothing about GET: signed URLs are for one method only.
NO_HEAD = frozenset({400, 401, 403, 405, 501})

_SPAN = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)", re.IGNORECASE)
_NO_SPAN = re.compile(r"bytes \*/([0-9]+)", re.IGNORECASE)


class Span(NamedTuple):
    """The bytes that an answer holds, and how many there are in all, None if unknown."""

    start: int
    stop: int
    total: int | None


class Http(Driver):
    """Reads from any http and https address that the outbound filter lets pass."""

    kind = "http"
    capabilities = Capability.READ | Capability.RANGE | Capability.SIZE
    SHARED = {rules.GROUP: rules.OPTS}
    OPTS: Sequence[cfg.Opt] = (
        cfg.StrOpt(
            "https_ca_certificates_file",
            help="File with the certificates of the authorities (PEM) that may vouch for "
            "servers. Unset: those of the system.",
        ),
        cfg.BoolOpt(
            "https_insecure",
            default=False,
            help="Do not verify the certificates of servers: whoever is on the way can "
            "then read and change images. Rather name your authority's certificate in "
            "https_ca_certificates_file.",
        ),
        cfg.DictOpt(
            "http_proxy_information",
            default={},
            help="Known from other services and refused here: a proxy would connect to "
            "addresses that nobody has checked.",
        ),
        cfg.IntOpt(
            "http_store_connect_timeout",
            default=5,
            min=1,
            help="Seconds to resolve a name, and seconds to connect, TLS included. More "
            "lets requests for images on dead servers wait longer for their error.",
        ),
        cfg.IntOpt(
            "http_store_read_timeout",
            default=30,
            min=1,
            help="Seconds in which a server has to begin its answer, and the longest "
            "that it may send nothing during a transfer.",
        ),
        cfg.IntOpt(
            "http_store_minimum_rate",
            default=16,
            min=0,
            help="KiB per second that a server has to send at least, on average over "
            "http_store_read_timeout; below that the transfer is broken off. 0 for no "
            "limit: a server may then keep a transfer alive for ever.",
        ),
    )

    def __init__(self, name: str, workers: Workers, fetcher: Fetcher) -> None:
        super().__init__(name, workers)
        self._fetcher = fetcher

    @classmethod
    def configured(
        cls, name: str, options: Mapping[str, Any], workers: Workers
    ) -> Self:
        if options["http_proxy_information"]:
            reason = (
                f"store '{name}': http_proxy_information cannot be used, servers are "
                "connected to directly. Remove it."
            )
            raise errors.Misconfigured(reason=reason)
        try:
            tls = connection.tls_context(
                options["https_ca_certificates_file"],
                insecure=options["https_insecure"],
            )
        except errors.Misconfigured as error:
            reason = f"store '{name}': https_ca_certificates_file: {error}"
            raise errors.Misconfigured(reason=reason) from error
        connect_s = options["http_store_connect_timeout"]
        limits = connection.Limits(
            connect_s=connect_s,
            read_s=options["http_store_read_timeout"],
            rate=options["http_store_minimum_rate"] * 1024,
        )
        fetcher = Fetcher(
            rules=rules.Rules.of(options, may_log_in=True),
            resolve=names.System(workers, connect_s),
            tls=tls,
            limits=limits,
        )
        return cls(name, workers, fetcher)

    def claims(self) -> Sequence[str]:
        # With two of them it would be chance whose options count for a location.
        return ("all addresses of http and https",)

    def write(self, key: str, data: Reader, size: int | None) -> Written:
        raise errors.Unsupported(store=self.name, what="take data")

    def delete(self, url: str) -> NoReturn:
        raise errors.Unsupported(store=self.name, what="delete data")

    def discard(self, key: str) -> None:
        """Nothing was ever written."""

    # --- reading ---

    def read(self, url: str, offset: int = 0, length: int | None = None) -> "Transfer":
        """As the contract says. From a server that knows no ranges all is read up to
        the last byte wanted, and what comes before the first is thrown away."""
        if length == 0:
            self._check_end(url, offset, self.size(url))
            return Transfer(self.name, None, 0, 0)
        headers = NOTHING
        if offset or length is not None:
            last = "" if length is None else offset + length - 1
            headers = {"Range": f"bytes={offset}-{last}"}
        response = self._ask(url, "GET", headers)
        try:
            return self._transfer(response, url, offset, length)
        except BaseException:
            response.close()
            raise

    def canonical(self, url: str) -> str:
        """As it is: user and password are what the server wants."""
        try:
            Target.parse(url)
        except errors.OutboundRefused as error:
            raise errors.LocationInvalid(store=self.name) from error
        return url

    def _transfer(
        self, response: Response, url: str, offset: int, length: int | None
    ) -> "Transfer":
        if response.status == 416 and length is None:
            nothing = _NO_SPAN.fullmatch(response.headers.get("content-range", ""))
            if nothing and int(nothing[1]) == offset:
                response.close()
                return Transfer(self.name, None, 0, 0)
        span = self._span(response)
        if span.start not in (0, offset):
            raise self._failure(
                response.target, f"asked for {offset}, sent {span.start}"
            )
        stop = span.total if length is None else offset + length
        if span.total is not None:
            self._check_end(url, offset if stop is None else stop, span.total)
        if response.status == 206 and span.stop != stop:
            raise self._failure(response.target, f"sends only {span.start}-{span.stop}")
        skip = offset - span.start
        rest = None if stop is None else stop - offset
        return Transfer(self.name, response, skip, rest)

    def _span(self, response: Response) -> Span:
        """What an answer holds. Raises KeyNotFound, StoreUnavailable if it is no success."""
        if response.status == 200:
            return Span(0, response.size or 0, response.size)
        if response.status == 206:
            found = _SPAN.fullmatch(response.headers.get("content-range", ""))
            if found is None:
                raise self._failure(response.target, "a part without saying which")
            total = None if found[3] == "*" else int(found[3])
            return Span(int(found[1]), int(found[2]) + 1, total)
        if response.status in GONE:
            raise errors.KeyNotFound(store=self.name, key=response.target)
        raise self._failure(response.target, f"status {response.status}")

    def _check_end(self, url: str, end: int, total: int) -> None:
        if end > total:
            raise self._failure(
                Target.parse(url), f"has {total} bytes, fewer than it should"
            )

    def size(self, url: str) -> int:
        response = self._ask(url, "HEAD")
        response.close()
        if response.status in NO_HEAD or response.size is None:
            response = self._ask(url, "GET")
            response.close()
        total = self._span(response).total
        if total is None:
            raise self._failure(response.target, "does not say how many bytes it has")
        return total

    def check_url(self, url: str) -> None:
        try:
            self._fetcher.check(url)
        except (errors.OutboundRefused, errors.OutboundFailed) as error:
            raise errors.LocationInvalid(store=self.name) from error

    # --- errors ---

    def _ask(
        self, url: str, method: str, headers: Mapping[str, str] = NOTHING
    ) -> Response:
        try:
            return self._fetcher.open(url, method, headers)
        except errors.OutboundRefused as error:
            raise errors.LocationInvalid(store=self.name) from error
        except errors.OutboundFailed as error:
            raise unreadable(self.name) from error

    def _failure(self, target: Target, reason: str) -> errors.StoreUnavailable:
        LOG.warning("store %s: %s: %s", self.name, target, reason)
        return unreadable(self.name)


def unreadable(store: str) -> errors.StoreUnavailable:
    # The server's address and answers are for the log; see errors.OutboundRefused.
    reason = errors.OutboundFailed.template
    return errors.StoreUnavailable(store=store, reason=reason)


class Transfer:
    """The bytes of one read: ``skip`` of the answer are left out, ``length`` follow.

    ``length`` None means all that there are. The size of blocks is what the network gives.
    """

    def __init__(
        self, store: str, response: Response | None, skip: int, length: int | None
    ) -> None:
        self._store = store
        self._response = response
        self._skip = skip
        self._left = length

    def __iter__(self) -> Iterator[memoryview]:
        response = self._response
        if response is not None:
            try:
                yield from self._cut(response)
            except errors.OutboundFailed as error:
                LOG.warning("store %s: %s", self._store, error.values["reason"])
                raise unreadable(self._store) from error
        if self._left:
            raise unreadable(self._store)

    def _cut(self, response: Response) -> Iterator[memoryview]:
        for block in response:
            skipped = min(self._skip, len(block))
            self._skip -= skipped
            piece = memoryview(block)[skipped:]
            if self._left is not None:
                piece = piece[: self._left]
                self._left -= len(piece)
            if piece:
                yield piece
            if self._left == 0:
                return
        if self._skip:
            raise unreadable(self._store)

    def close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()
