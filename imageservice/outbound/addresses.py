"""IP addresses that no user may make this service connect to.

Source: the registries of special-purpose addresses (RFC 6890), contract operations.md §8.2.
"""

import ipaddress
from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(*written: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in written)


#: What is behind it answers whoever asks from this machine, mostly with secrets.
METADATA = networks(
    "169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16",
    "fd00:ec2::/32", "fd20:ce::254", "fd00:42::42", "fd00:a9fe:a9fe::1", "fd00:c1::a9fe:a9fe",
)  # fmt: skip

#: By what they are, for the log.
FORBIDDEN: tuple[tuple[str, tuple[Network, ...]], ...] = (
    ("a metadata service", METADATA),
    ("unspecified", networks("0.0.0.0/8", "::/128")),
    ("loopback", networks("127.0.0.0/8", "::1/128")),
    ("link-local", networks("169.254.0.0/16", "fe80::/10", "fec0::/10")),
    ("multicast", networks("224.0.0.0/4", "ff00::/8")),
    ("reserved", networks(
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
        "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "3fff::/20",
    )),
    # Nobody uses these ways of writing an IPv4 address any more, and where some of them
    # are it could not be told: 64:ff9b:1::/48 is divided as each network likes (RFC 8215).
    ("a disguised IPv4 address", networks(
        "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2001::/32",
    )),
)  # fmt: skip

PRIVATE = networks(
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"
)

#: All that is in use of IPv6; private addresses and translators are beside it.
_GLOBAL = networks("2000::/3", "fc00::/7", "64:ff9b::/96", "::ffff:0:0/96")

_NAT64 = networks("64:ff9b::/96")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


def forbidden(address: Address) -> str | None:
    """Say why nobody may reach ``address``, None if it is an ordinary one.

    An IPv4 address within an IPv6 address is judged too.
    """
    for face in faces(address):
        for reason, ranges in FORBIDDEN:
            if within(face, ranges):
                return reason
        if face.version == 6 and not within(face, _GLOBAL):
            return "reserved"
    return None


def within(address: Address, ranges: tuple[Network, ...]) -> bool:
    return any(address in network for network in ranges)


def faces(address: Address) -> Iterator[Address]:
    """The address, and the IPv4 address that it leads to if it contains one."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    # Without the scope (``%eth0``), with which it would be in no network.
    plain = ipaddress.IPv6Address(int(address))
    yield plain
    last = ipaddress.IPv4Address(int(plain) & 0xFFFFFFFF)
    if plain.ipv4_mapped or within(plain, _NAT64):
        yield last
    elif plain.sixtofour:
        yield plain.sixtofour
    elif int(plain) >> 32 & 0xFFFFFFFF in _ISATAP:
        yield last
