"""What operators allow and forbid."""

import ipaddress

import pytest

from imageservice import errors
from imageservice.outbound import rules
from imageservice.outbound.target import Target

DEFAULTS = {option.dest: option.default for option in rules.OPTS}


def lists(**options):
    return rules.Rules.of({**DEFAULTS, **options})


def passes(given, url, *found):
    target = Target.parse(url)
    try:
        given.check(target)
        given.check_addresses(target, [ipaddress.ip_address(text) for text in found])
    except errors.OutboundRefused:
        return False
    return True


@pytest.mark.parametrize(
    ("options", "url", "expected"),
    [
        ({}, "http://a/", True),
        ({}, "https://a:443/", True),
        ({}, "http://a:443/", True),
        ({}, "http://a:22/", False),
        ({}, "http://me@a/", False),
        ({"allowed_ports": [8080]}, "http://a/", True),
        ({"allowed_ports": [8080]}, "http://a:80/", False),
        ({"allowed_ports": [8080], "disallowed_ports": [8080]}, "http://a:8080/", True),
        ({"allowed_ports": [], "disallowed_ports": [22]}, "http://a:22/", False),
        ({"allowed_ports": [], "disallowed_ports": [22]}, "http://a:23/", True),
        ({"allowed_schemes": ["https"]}, "http://a/", False),
        ({"allowed_schemes": [], "disallowed_schemes": ["HTTP"]}, "http://a/", False),
        ({"disallowed_hosts": ["A.example"]}, "http://a.EXAMPLE./", False),
        ({"disallowed_hosts": ["a.example"]}, "http://b.example/", True),
        ({"allowed_hosts": ["b"], "disallowed_hosts": ["b"]}, "http://b/", True),
        ({"allowed_hosts": ["b"]}, "http://a/", False),
        ({"allowed_hosts": ["::1"]}, "http://[0:0::1]/", True),
        ({"allowed_hosts": ["[::1]"]}, "http://[::1]/", True),
    ],
)
def test_lists_decide_before_a_name_is_resolved(options, url, expected):
    assert passes(lists(**options), url) is expected


@pytest.mark.parametrize(
    ("options", "found", "expected"),
    [
        ({}, ["8.8.8.8"], True),
        ({}, ["10.0.0.1"], True),
        ({}, ["8.8.8.8", "127.0.0.1"], False),
        ({}, ["::ffff:127.0.0.1"], False),
        ({"disallowed_networks": ["private"]}, ["10.0.0.1"], False),
        ({"disallowed_networks": ["private"]}, ["::ffff:192.168.0.1"], False),
        ({"disallowed_networks": ["private"]}, ["64:ff9b::a00:1"], False),
        ({"disallowed_networks": ["private"]}, ["fd00::1", "8.8.8.8"], False),
        ({"disallowed_networks": ["private"]}, ["8.8.8.8", "2a00::1"], True),
        ({"disallowed_networks": ["8.8.0.0/16"]}, ["2002:808:808::1"], False),
        ({"allowed_hosts": ["name"]}, ["127.0.0.1"], True),
        ({"allowed_hosts": ["other"]}, ["127.0.0.1"], False),
    ],
)
def test_every_address_of_a_name_must_be_good(options, found, expected):
    assert passes(lists(**options), "http://name/", *found) is expected


@pytest.mark.parametrize(
    "options",
    [
        {"disallowed_networks": ["10.0.0.1/8"]},
        {"disallowed_networks": ["everything"]},
        {"allowed_hosts": ["host:80"]},
        {"disallowed_hosts": ["http://host"]},
        {"disallowed_hosts": [""]},
        {"allowed_hosts": ["me@host"]},
        {"allowed_hosts": ["host/path"]},
    ],
)
def test_a_value_that_could_never_match_ends_the_start(options):
    with pytest.raises(errors.Misconfigured, match="import_filtering_opts"):
        lists(**options)
