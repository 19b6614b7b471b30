"""URLs of users, spelt in the one way that leaves nothing to interpretation.

What two parsers could read differently is refused, not mended: between the one that
checks and the one that connects lies the attack.
"""

import base64
import dataclasses
import ipaddress
import re
import urllib.parse
from typing import Self

from imageservice import errors
from imageservice.outbound.addresses import Address

PORTS = {"http": 80, "https": 443}

LONGEST = 8192
"""Characters of a URL."""

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)"
    r"(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#.*)?"
)
_AUTHORITY = re.compile(
    r"(?:(?P<user>[A-Za-z0-9._~!$&'()*+,;=%:-]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# What is not one of these is percent-encoded, so that the request has one line.
_SAFE = "%/:=&?~+!$,;'@()*[]"


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads.

    ``host`` is in lower case, an IPv6 address without brackets; ``address`` is set if it
    is an address. ``port`` is as written or the scheme's own. ``wanted`` is path and
    query. ``authorization`` is the header made of the URL's user and password.
    """

    scheme: str
    host: str
    port: int
    wanted: str
    address: Address | None = None
    is_port_written: bool = False
    authorization: str | None = dataclasses.field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take a URL apart. Raises OutboundRefused."""
        if len(url) > LONGEST:
            raise refusal("the URL is too long")
        if "\\" in url or any(ord(c) < 0x20 or ord(c) == 0x7F for c in url):
            raise refusal("backslash or control character in the URL")
        parts = _URL.fullmatch(url)
        if parts is None or parts["scheme"].lower() not in PORTS:
            raise refusal("not a URL of http or https")
        scheme = parts["scheme"].lower()
        authority = _AUTHORITY.fullmatch(parts["authority"])
        if authority is None:
            raise refusal("user, host or port are malformed")
        host, address = _host(authority["host"])
        port = int(authority["port"] or PORTS[scheme])
        if port > 65535:
            raise refusal(f"there is no port {port}")
        query = f"?{parts['query']}" if parts["query"] is not None else ""
        return cls(
            scheme=scheme,
            host=host,
            port=port,
            wanted=_quoted((parts["path"] or "/") + query),
            address=address,
            is_port_written=authority["port"] is not None,
            authorization=_basic(authority["user"]),
        )

    def follow(self, location: str) -> "Target":
        """The target of a redirect that this one answered. Raises OutboundRefused."""
        # urljoin takes control characters out, so they are looked for before.
        if "\\" in location or any(ord(c) <= 0x20 or ord(c) == 0x7F for c in location):
            raise refusal("backslash or control character in a redirect")
        base = f"{self.scheme}://{self.authority}{self.wanted}"
        try:
            joined = urllib.parse.urljoin(base, location)
        except ValueError as error:
            raise refusal("malformed redirect") from error
        target = Target.parse(joined)
        if target.authorization is not None:
            raise refusal("user or password in a redirect")
        if self.scheme == "https" and target.scheme != "https":
            raise refusal("redirect from https to http")
        return target

    @property
    def origin(self) -> tuple[str, str, int]:
        """Who gets to see credentials: all three must be the same."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        """For logs: without user, password and query, which may hold a signature."""
        path, mark, _ = self.wanted.partition("?")
        return f"{self.scheme}://{self.authority}{path}{mark and '?...'}"


def refusal(reason: str) -> errors.OutboundRefused:
    return errors.OutboundRefused(reason=reason)


def host(text: str) -> str:
    """Read a host alone as it would be read in a URL. Raises OutboundRefused."""
    bracketed = f"[{text}]" if ":" in text and text[0] != "[" else text
    found = _AUTHORITY.fullmatch(bracketed)
    if found is None or found["host"] != bracketed:
        raise refusal("malformed host name")
    return _host(bracketed)[0]


def _host(text: str) -> tuple[str, Address | None]:
    host = text.lower()
    if host.startswith("["):
        try:
            found = ipaddress.IPv6Address(host[1:-1])
        except ValueError as error:
            raise refusal("malformed IPv6 address") from error
        return str(found), found
    # Only here: resolvers take numbers with a dot behind them for addresses, too.
    if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        try:
            return host, ipaddress.IPv4Address(host)
        except ValueError as error:
            raise refusal("an IPv4 address is written 192.0.2.1") from error
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise refusal("malformed host name")
    return name, None


def _quoted(wanted: str) -> str:
    try:
        return urllib.parse.quote(wanted, safe=_SAFE)
    except UnicodeEncodeError as error:
        raise refusal("the URL is no text") from error


def _basic(user: str | None) -> str | None:
    if user is None:
        return None
    name, _, password = user.partition(":")
    pair = f"{urllib.parse.unquote(name)}:{urllib.parse.unquote(password)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
