"""Who pays for a request, and which options are refused."""

import ipaddress

import pytest

from imageservice import errors
from imageservice.api.app import CONTEXT
from imageservice.context import Context
from imageservice.filters import ratelimit
from imageservice.filters.ratelimit import Addresses, Options, Projects
from tests.unit.api.fakes import an_environ


def payer(address, forwarded=None, *, proxies=0, exempt=()):
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    environ = an_environ("GET", "/", headers=headers, REMOTE_ADDR=address)
    networks = [ipaddress.ip_network(text) for text in exempt]
    return Addresses(proxies, networks).of(environ)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"),
        ("192.0.2.1", "192.0.2.1:4711"),
        ("2001:db8::1", "[2001:db8::1]:4711"),
        ("", "rubbish"),
    ],
)
def test_these_are_one_client(one, other):
    assert payer(one) == payer(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8:0:1::1", "2001:db8:0:2::1")],
)
def test_these_are_two(one, other):
    assert payer(one) != payer(other)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        (0, "192.0.2.7", "10.0.0.1"),
        (1, "192.0.2.7", "192.0.2.7"),
        (1, "1.1.1.1, 192.0.2.7", "192.0.2.7"),
        (2, "1.1.1.1, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
        (2, "10.0.0.2", "10.0.0.2"),
        (1, None, "10.0.0.1"),
    ],
)
def test_the_client_is_who_our_own_proxies_saw(proxies, forwarded, client):
    assert payer("10.0.0.1", forwarded, proxies=proxies) == payer(client)


@pytest.mark.parametrize("address", ["10.1.2.3", "::1"])
def test_exempt_networks_pay_nothing(address):
    assert payer(address, exempt=("10.0.0.0/8", "::1")) is None


def of_context(**values):
    environ = an_environ("GET", "/", REMOTE_ADDR="192.0.2.1")
    environ[CONTEXT] = Context(**values)
    return Projects(Addresses(0, ()), ("free",)).of(environ)


def test_projects_pay_and_users_without_one_and_addresses_of_nobody():
    assert of_context(project_id="p", user_id="u") == "project p"
    assert of_context(user_id="u") == "user u"
    assert of_context() == "address 192.0.2.1"
    assert of_context(project_id="free") is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "rate: is not set"),
        ({"rate": "1"}, "burst: is not set"),
        ({"rate": "0", "burst": "1"}, "rate: '0' is no number"),
        ({"rate": "nan", "burst": "1"}, "rate: 'nan' is no number"),
        ({"rate": "many", "burst": "1"}, "rate: 'many' is no number"),
        ({"rate": "1", "burst": "1.5"}, "burst: 1.5 is no whole number"),
        ({"rate": "1", "burst": "0"}, "burst: '0' is no number from 1"),
        ({"rate": "1", "burst": "1", "by": "user"}, "by: 'user'"),
        ({"rate": "1", "burst": "1", "brust": "1"}, "brust: there is no such option"),
        ({"rate": "1", "burst": "1", "proxies": "-1"}, "proxies: '-1'"),
        ({"rate": "1", "burst": "1", "exempt": "10.0.0.1/8"}, "exempt: .*host bits"),
        ({"rate": "1", "burst": "1", "methods": "G(T"}, "methods: 'G\\(T'"),
    ],
)
def test_what_cannot_be_meant_ends_the_start(given, said):
    with pytest.raises(errors.Misconfigured, match=said):
        Options.read(given, behind_proxy=False)


def test_two_services_of_one_machine_have_two_files(tmp_path):
    options = Options.read(
        {"rate": "1", "burst": "1", "folder": str(tmp_path / "run")},
        behind_proxy=False,
    )

    for identity in ("one", "other", "one"):
        ratelimit.table(options, identity)

    assert len(list((tmp_path / "run").iterdir())) == 2
