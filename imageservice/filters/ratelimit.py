"""The rate limit: 429 with Retry-After to a project, or an address, that asks too often.

Options are strings of the Paste file; they are checked here, once.
"""

import dataclasses
import functools
import hashlib
import ipaddress
import os
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NoReturn

from imageservice import errors
from imageservice.api import faults
from imageservice.api.answer import Application, Body, Environ, StartResponse
from imageservice.api.app import CONTEXT
from imageservice.context import Context
from imageservice.filters.buckets import SECOND, WAYS, Rate, Table

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

IPV6_PREFIX = 64
"""Bits of an IPv6 address that stand for one client: it has all the rest to itself."""

LONGEST_ADDRESS = 64
"""Characters of an address with a port, at most."""

REMEMBERED = 4096
"""Addresses that were read lately."""

OPTIONS = ("by", "rate", "burst", "methods", "exempt", "proxies", "buckets", "folder")

MAX_BUCKETS = 2**24
MAX_RATE = 1e6
MIN_RATE = 1e-5
"""About once a day."""
MAX_BURST = 10**6


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """How often who may ask, read from a section of the Paste file."""

    by: str
    rate: float  # requests per second
    burst: int
    methods: frozenset[str]  # empty: all
    networks: tuple[Network, ...]  # not counted
    projects: frozenset[str]  # not counted
    proxies: int
    buckets: int
    folder: Path

    @classmethod
    def read(cls, given: Mapping[str, str], *, behind_proxy: bool) -> "Options":
        """Read the options. Raises Misconfigured.

        ``behind_proxy`` says whether headers of proxies are believed at all.
        """
        unknown = [name for name in given if name not in OPTIONS]
        if unknown:
            _refuse(unknown[0], f"there is no such option, only {', '.join(OPTIONS)}")
        by = given.get("by", "address")
        if by not in ("address", "project"):
            _refuse("by", f"'{by}' is neither address nor project")
        proxies = _whole(given, "proxies", "1", 1, 100)
        exempt = _words(given.get("exempt", ""))
        return cls(
            by=by,
            rate=_number(given, "rate", None, MIN_RATE, MAX_RATE),
            burst=_whole(given, "burst", None, 1, MAX_BURST),
            methods=_methods(given.get("methods", "")),
            networks=tuple(_network(word) for word in exempt if by == "address"),
            projects=frozenset(exempt if by == "project" else ()),
            proxies=proxies if behind_proxy else 0,
            buckets=_whole(given, "buckets", "65536", WAYS, MAX_BUCKETS),
            folder=Path(given.get("folder") or _runtime_folder()),
        )


def _number(
    given: Mapping[str, str], name: str, default: str | None, least: float, most: float
) -> float:
    text = given.get(name, default)
    if text is None:
        _refuse(name, "is not set")
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        _refuse(name, f"'{text}' is no number from {least:g} to {most:g}")
    return value


def _whole(
    given: Mapping[str, str], name: str, default: str | None, least: int, most: int
) -> int:
    value = _number(given, name, default, least, most)
    if value != int(value):
        _refuse(name, f"{value:g} is no whole number")
    return int(value)


def _methods(text: str) -> frozenset[str]:
    methods = frozenset(word.upper() for word in _words(text))
    for method in sorted(methods):
        if not method.isalpha():
            _refuse("methods", f"'{method}' is no method")
    return methods


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _refuse(name: str, why: str) -> NoReturn:
    raise errors.Misconfigured(
        reason=f"the filter of ratelimit_factory, {name}: {why}. Correct the Paste file."
    )


def _runtime_folder() -> Path:
    """A folder in memory that ends with the machine, at the latest."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    memory = Path("/dev/shm")  # noqa: S108 - the folder made in it is ours alone
    parent = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    return parent / f"imageservice-{os.geteuid()}"


def table(options: Options, identity: str) -> Table:
    """Open the table of buckets that the workers of one service share.

    ``identity`` tells services of one machine apart. Raises Misconfigured.
    """
    name = hashlib.sha256(identity.encode()).hexdigest()[:16]
    rows = -(-options.buckets // WAYS)
    return Table(options.folder / f"ratelimit-{name}-{rows * WAYS}", rows)


class RateLimit:
    """Refuse with 429 who has no request left; ask ``who`` whose request it is."""

    def __init__(self, app: Application, options: Options, table: Table) -> None:
        self._app = app
        self._table = table
        self._methods = options.methods
        self._rate = Rate.of(options.rate, options.burst)
        addresses = Addresses(options.proxies, options.networks)
        by_project = Projects(addresses, options.projects)
        self._who: Callable[[Environ], str | None] = (
            addresses.of if options.by == "address" else by_project.of
        )
        # Sections that differ in what they count have buckets of their own.
        self._kind = f"{options.by} {sorted(options.methods)} {self._rate} "

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        if not self._methods or environ["REQUEST_METHOD"] in self._methods:
            who = self._who(environ)
            if who is not None:
                wait = self._table.take((self._kind + who).encode(), self._rate)
                if wait:
                    error = errors.TooManyRequests(seconds=-(-wait // SECOND))
                    return faults.answer_to(error, environ).send(start_response)
        return self._app(environ, start_response)


class Projects:
    """Whose project a request is for; by address for callers without any identity."""

    def __init__(self, addresses: "Addresses", exempt: Collection[str]) -> None:
        self._addresses = addresses
        self._exempt = frozenset(exempt)

    def of(self, environ: Environ) -> str | None:
        """The bucket that pays for the request; None if nobody has to."""
        ctx: Context | None = environ.get(CONTEXT)
        if ctx is None:
            return self._addresses.of(environ)
        if ctx.project_id in self._exempt:
            return None
        if ctx.project_id:
            return f"project {ctx.project_id}"
        return f"user {ctx.user_id}" if ctx.user_id else self._addresses.of(environ)


class Addresses:
    """The client's address: of the connection, or as the nearest proxies tell it.

    Each proxy appends to X-Forwarded-For whom it saw. What stands further left than our
    own proxies write is the client's own invention, so the entries are counted from the
    right.
    """

    UNKNOWN = "an unknown address"
    """The one bucket of all whose address cannot be read."""

    def __init__(self, proxies: int, exempt: Collection[Network]) -> None:
        self._proxies = proxies
        self._exempt = exempt
        # To read an address costs more than all the rest.
        self._payer = functools.lru_cache(REMEMBERED)(self._read)

    def of(self, environ: Environ) -> str | None:
        """The bucket that pays for the request; None if nobody has to."""
        text = environ.get("REMOTE_ADDR") or ""
        forwarded = environ.get("HTTP_X_FORWARDED_FOR")
        if self._proxies and forwarded:
            text = forwarded.split(",")[-self._proxies :][0].strip()
        return self._payer(text[:LONGEST_ADDRESS])

    def _read(self, text: str) -> str | None:
        address = _address(text)
        if address is None:
            return self.UNKNOWN
        if any(address in network for network in self._exempt):
            return None
        if address.version == 6:
            bits = int(address) >> (address.max_prefixlen - IPV6_PREFIX)
            return f"address {bits:x}/{IPV6_PREFIX}"
        return f"address {address}"


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        _refuse("exempt", f"{error}")


def _address(text: str) -> Address | None:
    """Read an address: IPv4 in IPv6 is IPv4, a port is not part of it."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address
