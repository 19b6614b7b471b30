"""Which addresses nobody may reach, in whatever form they come."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageservice.outbound import addresses

THIS_MACHINE = """
    0.0.0.0 0.1.2.3 127.0.0.1 127.255.255.254 :: ::1
    ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:0.0.0.0 ::ffff:0:127.0.0.1
    64:ff9b::7f00:1 64:ff9b::0.0.0.0 64:ff9b:1::7f00:1 64:ff9b:1:7f00:0:1:: 2002:7f00:1::
    2001:0:7f00:1:: 2001:0:4136:e378:8000:63bf:80ff:fffe
    2a00::5efe:127.0.0.1 2a00::200:5efe:7f00:1
"""

METADATA = """
    169.254.169.254 100.100.100.200 192.0.0.192 168.63.129.16 fd00:ec2::254 fd20:ce::254
    fd00:42::42 fd00:a9fe:a9fe::1 ::ffff:169.254.169.254 ::ffff:100.100.100.200
    64:ff9b::a9fe:a9fe 2002:a9fe:a9fe:: 64:ff9b::168.63.129.16
    fd00:ec2::23 fd00:ec2::253 fd00:c1::a9fe:a9fe
"""

NOBODY = """
    169.254.0.1 fe80::1 fe80::1%eth0 fec0::1 224.0.0.1 239.255.255.255 ff02::1 ff0e::1
    240.0.0.1 255.255.255.255 ::ffff:255.255.255.255 ::ffff:224.0.0.1
    192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 192.88.99.1
    2001:db8::1 2001:2::1 100::1 3fff::1 4000::1 e000::1 ::2 ::8.8.8.8 5f00::1
"""

ORDINARY = """
    8.8.8.8 1.1.1.1 223.255.255.255 10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1
    2a00:1450::1 2606:4700::1111 fd12::1 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1
"""


@pytest.mark.parametrize(
    "text", [*THIS_MACHINE.split(), *METADATA.split(), *NOBODY.split()]
)
def test_nobody_reaches(text):
    assert addresses.forbidden(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ORDINARY.split())
def test_everybody_may_reach(text):
    assert addresses.forbidden(ipaddress.ip_address(text)) is None


@pytest.mark.parametrize("prefix", ["::ffff:", "64:ff9b::"])
@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_judged_as_if_it_stood_alone(prefix, address):
    embedded = ipaddress.ip_address(f"{prefix}{address}")

    assert addresses.forbidden(embedded) == addresses.forbidden(address)


@given(st.ip_addresses())
def test_what_python_knows_as_special_is_refused_or_private(address):
    special = (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
    )

    if special:
        assert addresses.forbidden(address)
