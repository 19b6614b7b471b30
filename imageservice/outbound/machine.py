"""Which addresses this machine has, asked of the kernel whenever it matters.

They come and go: those of a pair of machines that stand in for each other, for one.
"""

import socket
import struct

from imageservice.outbound.addresses import Address

# Of linux/rtnetlink.h, where the names are these.
RTM_NEWROUTE, RTM_GETROUTE = 24, 26
NLM_F_REQUEST = 1
RTA_DST = 1
RTN_LOCAL, RTN_ANYCAST = 2, 4

_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=8BI")
_ATTRIBUTE = struct.Struct("=HH")


def has(address: Address) -> bool:
    """Tell whether what is sent to ``address`` arrives at this machine itself.

    Raises OSError where routes cannot be asked for.
    """
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
    ) as kernel:
        kernel.send(_question(address))
        answer = kernel.recv(8192)
    if _HEADER.unpack_from(answer)[1] != RTM_NEWROUTE:
        return False  # there is no way to it
    kind = _ROUTE.unpack_from(answer, _HEADER.size)[7]
    return kind in (RTN_LOCAL, RTN_ANYCAST)


def _question(address: Address) -> bytes:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    route = _ROUTE.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    to = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(address.packed), RTA_DST)
    size = _HEADER.size + len(route) + len(to) + len(address.packed)
    header = _HEADER.pack(size, RTM_GETROUTE, NLM_F_REQUEST, 1, 0)
    return header + route + to + address.packed
