"""How URLs may be spelt, and what becomes of them."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageservice import errors
from imageservice.outbound.target import Target

ODD = [
    # numbers that a resolver takes for 127.0.0.1
    "http://2130706433/", "http://0x7f000001/", "http://0x7F.1/", "http://0177.0.0.1/",
    "http://127.1/", "http://127.0.1/", "http://0/", "http://0x0/", "http://00000000/",
    "http://127.0.0.01/", "http://127.0.0.1./", "http://017700000001/", "http://0x/",
    "http://1.2.3.4.5/", "http://256.1.1.1/", "http://a.127/", "http://a.0x7f/",
    "http://127.0.0.0x1/", "http://4294967296/",
    # IPv6
    "http://[::1/", "http://::1/", "http://[]/", "http://[::1]x/", "http://[::1%25lo]/",
    "http://[::1%lo]/", "http://[127.0.0.1]/", "http://[v1.x]/", "http://[:::1]/",
    # ports
    "http://a:0/", "http://a:00/", "http://a:080/", "http://a:65536/", "http://a:99999/",
    "http://a:-1/", "http://a:+80/", "http://a:/", "http://a:8 0/", "http://a:80:80/",
    "http://a:\N{ARABIC-INDIC DIGIT EIGHT}/", "http://a:0x50/", "http://a:http/",
    # separators that parsers disagree about
    "http://a\\@b/", "http:\\\\a/", "http://a/\\", "http:/a/", "http:a", "http:///a",
    "//a/", "http://", "http://?a", "http://#a", "http:// a/", " http://a/", "http://a b/",
    "http://a@b@c/", "http://a/@b@c/\\", "http://@", "http://u:p@/", "http://[u]@a/",
    # characters
    "http://a\0/", "http://a/\0", "http://a/\n", "http://a\r\nHost: b/", "http://a/\x7f",
    "http://a\t/", "\thttp://a/", "http://a%2e/", "http://%31%32%37.0.0.1/", "http://a%00/",
    "http://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example/",
    "http://\N{FULLWIDTH DIGIT ONE}27.0.0.1/", "http://\N{CIRCLED DIGIT ONE}/",
    "http://a\N{IDEOGRAPHIC FULL STOP}b/", "http://a\N{FULLWIDTH SOLIDUS}b/",
    "http://a\N{SOFT HYPHEN}b/", "http://a/\ud800",
    # names
    "http://./", "http://../", "http://a..b/", "http://.a/", "http://-a/", "http://a-/",
    "http://a../", f"http://{'a' * 64}/", f"http://{'a.' * 130}a/", "http://*/",
    "http://a,b/", "http://{a}/", "http://a'/",
    # schemes
    "", "http", "file:///etc/passwd", "ftp://a/", "gopher://a/", "httpx://a/", "htt p://a/",
    "javascript:alert(1)", "http+unix://a/", "s3://a/b", f"http://a/{'x' * 9000}",
]  # fmt: skip


@pytest.mark.parametrize("url", ODD, ids=lambda url: ascii(url)[:30])
def test_an_odd_spelling_is_refused(url):
    with pytest.raises(errors.OutboundRefused):
        Target.parse(url)


@pytest.mark.parametrize(
    ("url", "host", "port", "wanted"),
    [
        ("http://example.org", "example.org", 80, "/"),
        ("HTTPS://EXAMPLE.org/A?b=C#d", "example.org", 443, "/A?b=C"),
        ("http://example.org.:8080/x", "example.org", 8080, "/x"),
        ("http://8.8.8.8:443/x", "8.8.8.8", 443, "/x"),
        ("http://[2001:4860:0::8888]/", "2001:4860::8888", 80, "/"),
        ("http://[::ffff:1.2.3.4]/", "::ffff:102:304", 80, "/"),
        ("http://host/?", "host", 80, "/?"),
        ("http://host?q=/x", "host", 80, "/?q=/x"),
        ("http://1and1.example/", "1and1.example", 80, "/"),
        ("http://xn--bcher-kva.example/", "xn--bcher-kva.example", 80, "/"),
        ("http://a_b.example/%2F%20", "a_b.example", 80, "/%2F%20"),
        ("http://host/a b\N{SNOWMAN}", "host", 80, "/a%20b%E2%98%83"),
        ("http://host/a@b:c", "host", 80, "/a@b:c"),
    ],
)
def test_an_ordinary_url_is_understood(url, host, port, wanted):
    target = Target.parse(url)

    assert (target.host, target.port, target.wanted) == (host, port, wanted)


def test_user_and_password_are_for_the_header_alone():
    target = Target.parse("https://me:s%40cret@example.org/x?signature=abc#f")

    assert target.authorization == "Basic bWU6c0BjcmV0"
    assert str(target) == "https://example.org/x?..."
    assert "cret" not in repr(target)
    assert "bWU6" not in repr(target)


@pytest.mark.parametrize(
    "location",
    [
        "http://example.org/", "ftp://example.org/", "https://a:b@example.org/", "//a\\b/",
        "/\n", " /x", "https://[::1", "//2130706433/", "https://example.org:0/", "file:///x",
    ],
)  # fmt: skip
def test_a_redirect_may_not_lead_there(location):
    with pytest.raises(errors.OutboundRefused):
        Target.parse("https://example.org/a/b").follow(location)


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        ("c", "https://example.org:8443/a/c"),
        ("/c?d", "https://example.org:8443/c?..."),
        ("//other.example/", "https://other.example/"),
        ("https://u.example:1/x", "https://u.example:1/x"),
        ("..", "https://example.org:8443/"),
    ],
)
def test_a_redirect_may_be_relative(location, leads):
    target = Target.parse("https://me:pw@example.org:8443/a/b").follow(location)

    assert str(target) == leads
    assert target.authorization is None


@given(st.text(alphabet=string.printable + "\u2460\uff0e\x00%[]@:\\", max_size=40))
def test_whatever_is_accepted_reads_the_same_once_more(rest):
    try:
        target = Target.parse(f"http://{rest}")
    except errors.OutboundRefused:
        return

    again = Target.parse(f"{target.scheme}://{target.authority}{target.wanted}")

    assert (again.origin, again.wanted) == (target.origin, target.wanted)
