"""Heads: what an environ can hold, whatever is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageservice.wsgi.head import Head, Refused

TOKENS = st.sampled_from(
    [b"GET", b"POST", b" ", b"/", b"/a%2Fb", b"%", b"%00", b"?", b"#", b"http://b/", b"*"]
    + [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/", b"\r\n", b"\r", b"\n", b"\0", b"\t", b"\xff"]
    + [b"Host: a", b"Host:", b"Content-Length: 3", b"Content-Length: ", b"1", b":", b"X_A: b"]
    + [b"Transfer-Encoding: chunked", b"Transfer-Encoding:", b"chunked", b", ", b"Expect: x"]
    + [b"Connection: close", b"Upgrade: h2c", b"Connection: Upgrade"]
)  # fmt: skip


def head(*fields, line=b"GET /v2/images?a=b HTTP/1.1", host=b"Host: a"):
    environ = {}
    data = b"\r\n".join([line, host, *fields]) + b"\r\n\r\n"
    return Head(data, environ), environ


def status_of(data, environ):
    try:
        Head(data, environ)
    except Refused as refused:
        return refused.status[:3]
    return "read"


@given(st.lists(TOKENS, max_size=25).map(b"".join))
def test_any_bytes_are_read_or_refused(data):
    environ = {}

    status = status_of(data + b"\r\n\r\n", environ)

    assert status in ("read", "400", "414", "417", "431", "501", "505")
    if status == "read":
        assert environ["PATH_INFO"].startswith("/")
        assert environ["imageservice.raw_path"].startswith("/")
        assert "\0" not in environ["PATH_INFO"]
        assert not environ.keys() >= {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}
        assert all(isinstance(value, str) for value in environ.values())


@pytest.mark.parametrize(
    ("line", "fields", "persistent"),
    [
        pytest.param(b"GET / HTTP/1.1", [], True, id="1.1"),
        pytest.param(b"GET / HTTP/1.1", [b"Connection: close"], False, id="1.1-close"),
        pytest.param(b"GET / HTTP/1.1", [b"Connection: TE,CLOSE"], False, id="among"),
        pytest.param(b"GET / HTTP/1.1", [b"Connection: closed"], True, id="1.1-other"),
        pytest.param(b"GET / HTTP/1.0", [], False, id="1.0"),
        pytest.param(
            b"GET / HTTP/1.0", [b"Connection: Keep-Alive"], True, id="1.0-keep"
        ),
        pytest.param(
            b"GET / HTTP/1.0", [b"Connection: keep-alive, close"], False, id="1.0-both"
        ),
    ],
)
def test_the_client_says_whether_the_connection_goes_on(line, fields, persistent):
    assert head(*fields, line=line)[0].persistent is persistent


@pytest.mark.parametrize(
    "name",
    [b"X-Roles", b"X-Project-Id", b"X-User-Id", b"X-Identity-Status", b"X-Service-Roles"]
    + [b"X-Tenant", b"X-Domain-Id", b"X-Auth-Token", b"X-Service-Token", b"X-Is-Admin-Project"]
    + [b"OpenStack-System-Scope", b"X-Image-Meta-Store", b"X-OpenStack-Image-Size"]
    + [b"Authorization", b"Content-Type", b"Content-Range"],
)  # fmt: skip
def test_who_asks_is_said_once(name):
    with pytest.raises(Refused, match="repeated"):
        head(name + b": a", name.lower() + b": a")


def test_clients_cannot_fill_the_memory_with_names_of_fields():
    for number in range(5000):
        assert head(b"X-%d: a" % number)[1][f"HTTP_X_{number}"] == "a"
