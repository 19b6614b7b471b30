"""This machine's own addresses, whatever network they are of."""

import ipaddress
import shutil
import subprocess
import sys

import pytest

from imageservice.outbound import machine
from tests.databases import missing

ALONE = """
ip link set lo up
for address in 10.9.0.1/24 10.9.0.2/24 2a00:1450::1/64; do ip address add $address dev lo; done
exec "$@"
"""

JUDGE = """
import ipaddress, sys
from imageservice import errors
from imageservice.outbound.rules import Rules
from imageservice.outbound.target import Target

for rules in Rules(), Rules(allowed_hosts=frozenset({"a"})):
    for text in sys.argv[1:]:
        try:
            rules.check_addresses(Target.parse("http://a/"), [ipaddress.ip_address(text)])
        except errors.OutboundRefused as error:
            print(error.values["reason"])
"""


@pytest.mark.parametrize("text", ["127.0.0.1", "127.3.0.2", "::1"])
def test_it_has(text):
    assert machine.has(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1111"])
def test_it_has_not(text):
    assert not machine.has(ipaddress.ip_address(text))


def test_its_addresses_are_refused_unless_the_operator_lists_the_host():
    """The second of a network is known, too, which is not the one that it sends from."""
    own = ["10.9.0.1", "10.9.0.2", "::ffff:a09:2", "64:ff9b::a09:2", "2a00:1450::1"]

    refused = on_a_machine_of_its_own(*own, "8.8.8.8", "10.8.0.1", "2606:4700::1111")

    assert refused == [f"a is {address}, this machine" for address in own]


def on_a_machine_of_its_own(*addresses):
    """The reasons for which addresses are refused where the network is ``ALONE``'s."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        missing("unshare or ip (apt-get install util-linux iproute2) is not there")
    apart = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*apart, "true"], check=False).returncode:
        pytest.skip("a network of one's own is not allowed here")
    judge = [sys.executable, "-c", JUDGE, *addresses]
    ran = subprocess.run(
        [*apart, "sh", "-ec", ALONE, "sh", *judge],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return ran.stdout.splitlines()
