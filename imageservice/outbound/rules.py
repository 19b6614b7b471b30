"""What the operator lets users connect to: schemes, hosts, ports and networks.

Source: contract images.md §10.7, whose option names these are.
"""

import dataclasses
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Self

from oslo_config import cfg, types

from imageservice import errors
from imageservice.outbound import addresses, machine, target
from imageservice.outbound.addresses import Address, Network
from imageservice.outbound.target import Target, refusal

GROUP = "import_filtering_opts"

PRIVATE = "private"

OPTS: Sequence[cfg.Opt] = (
    cfg.ListOpt(
        "allowed_schemes",
        item_type=types.String(choices=["http", "https"], ignore_case=True),
        default=["http", "https"],
        help="Schemes of the addresses from which users may have data fetched. 'https' "
        "alone keeps them from sending it in the clear. Empty: all that are not in "
        "disallowed_schemes.",
    ),
    cfg.ListOpt(
        "disallowed_schemes",
        default=[],
        help="Schemes that are refused; counts only if allowed_schemes is empty.",
    ),
    cfg.ListOpt(
        "allowed_hosts",
        default=[],
        help="The only hosts, by name or address as in the URL, from which users may have "
        "data fetched. A host in this list may also be this machine or a private one: "
        "its addresses are not checked any more. Empty: all hosts that are not in "
        "disallowed_hosts and have ordinary addresses.",
    ),
    cfg.ListOpt(
        "disallowed_hosts",
        default=[],
        help="Hosts that are refused; counts only if allowed_hosts is empty. Who owns a "
        "domain can give your host another name, so disallowed_networks is what keeps "
        "users out of a network.",
    ),
    cfg.ListOpt(
        "allowed_ports",
        item_type=types.Port(min=1),
        default=[80, 443],
        help="Ports that a URL may name. One that names none passes. Empty: all that are "
        "not in disallowed_ports, which lets users try every service there is.",
    ),
    cfg.ListOpt(
        "disallowed_ports",
        item_type=types.Port(min=1),
        default=[],
        help="Ports that are refused; counts only if allowed_ports is empty.",
    ),
    cfg.ListOpt(
        "disallowed_networks",
        default=[],
        help="Networks in which no host may lie, as 10.1.0.0/16, and 'private' for all "
        "private ones: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 and "
        "fc00::/7. Name the networks of your control plane here, or 'private' if users "
        "have no servers of their own there. A NAT64 prefix of your own belongs here, "
        "too, and addresses by which this machine is reached through others, as behind a "
        "load balancer. Refused always: this machine's own addresses, link-local, "
        "multicast and reserved ones, and the metadata services of clouds.",
    ),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """The operator's lists. A list of allowed ones that is not empty makes the other void."""

    allowed_schemes: frozenset[str] = frozenset({"http", "https"})
    disallowed_schemes: frozenset[str] = frozenset()
    allowed_hosts: frozenset[str] = frozenset()
    disallowed_hosts: frozenset[str] = frozenset()
    allowed_ports: frozenset[int] = frozenset({80, 443})
    disallowed_ports: frozenset[int] = frozenset()
    disallowed_networks: tuple[Network, ...] = ()
    #: Whether a URL may hold user and password.
    may_log_in: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any], *, may_log_in: bool = False) -> Self:
        """Take the values of OPTS. Raises Misconfigured."""
        return cls(
            allowed_schemes=_lower(options["allowed_schemes"]),
            disallowed_schemes=_lower(options["disallowed_schemes"]),
            allowed_hosts=_hosts(options["allowed_hosts"]),
            disallowed_hosts=_hosts(options["disallowed_hosts"]),
            allowed_ports=frozenset(options["allowed_ports"]),
            disallowed_ports=frozenset(options["disallowed_ports"]),
            disallowed_networks=_networks(options["disallowed_networks"]),
            may_log_in=may_log_in,
        )

    def check(self, to: Target) -> None:
        """Raise OutboundRefused for what can be said before the name is resolved."""
        if to.authorization is not None and not self.may_log_in:
            raise refusal("user or password in the URL")
        if not _passes(to.scheme, self.allowed_schemes, self.disallowed_schemes):
            raise refusal(f"scheme {to.scheme} is not allowed")
        if not _passes(to.host, self.allowed_hosts, self.disallowed_hosts):
            raise refusal(f"host {to.host} is not allowed")
        if to.is_port_written and not _passes(
            to.port, self.allowed_ports, self.disallowed_ports
        ):
            raise refusal(f"port {to.port} is not allowed")

    def check_addresses(self, to: Target, found: Sequence[Address]) -> None:
        """Raise OutboundRefused if any of the target's addresses must not be reached."""
        if to.host in self.allowed_hosts:
            return
        for address in found:
            reason = (
                addresses.forbidden(address)
                or self._disallowed(address)
                or _ours(address)
            )
            if reason:
                raise refusal(f"{to.host} is {address}, {reason}")

    def _disallowed(self, address: Address) -> str | None:
        for face in addresses.faces(address):
            if addresses.within(face, self.disallowed_networks):
                return "in disallowed_networks"
        return None


def _ours(address: Address) -> str | None:
    try:
        if any(machine.has(face) for face in addresses.faces(address)):
            return "this machine"
    except OSError as error:
        return f"maybe this machine, which could not be asked: {error}"
    return None


def _passes(value: object, allowed: frozenset[Any], disallowed: frozenset[Any]) -> bool:
    return value in allowed if allowed else value not in disallowed


def _lower(values: Sequence[str]) -> frozenset[str]:
    return frozenset(value.lower() for value in values)


def _hosts(values: Sequence[str]) -> frozenset[str]:
    """The hosts as they come out of a URL. Raises Misconfigured."""
    found = set()
    for value in values:
        try:
            found.add(target.host(value))
        except errors.OutboundRefused as error:
            reason = f"{error.values['reason']}; a name or an address alone is expected"
            raise _wrong("hosts", value, reason) from error
    return frozenset(found)


def _networks(values: Sequence[str]) -> tuple[Network, ...]:
    found: list[Network] = []
    for value in values:
        if value == PRIVATE:
            found += addresses.PRIVATE
            continue
        try:
            found.append(ipaddress.ip_network(value))
        except ValueError as error:
            raise _wrong("disallowed_networks", value, str(error)) from error
    return tuple(found)


def _wrong(option: str, value: str, reason: str) -> errors.Misconfigured:
    text = f"[{GROUP}] {option}: '{value}': {reason}. Correct the value."
    return errors.Misconfigured(reason=text)
