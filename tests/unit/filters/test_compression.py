"""What is compressed, for whom, and what stays as it is."""

import gzip

import pytest

from imageservice import errors
from imageservice.filters import compression
from imageservice.filters.compression import Gzip, Options, accepts_gzip
from imageservice.wsgi.threads import Workers
from tests.unit.api.fakes import an_environ, call

JSON = b'{"images": [' + b"1, " * 1000 + b"1]}"


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("gzip", True),
        ("GZIP;Q=1.0", True),
        ("x-gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("*", True),
        ("*;q=0.1, identity;q=0", True),
        ("gzip, identity;q=0.5", True),
        ("", False),
        ("deflate, br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*, gzip;q=0", False),
        ("*;q=0", False),
        ("identity, gzip;q=0.5", False),
        ("gzip;q=much", False),
        ("gzip;level=9", False),
        ("xgzip", False),
    ],
)
def test_who_allows_gzip(header, allowed):
    assert accepts_gzip(header) is allowed


class Inner:
    def __init__(self, status="200 OK", body=(JSON,), **headers):
        self.status, self.body = status, body
        length = str(sum(len(piece) for piece in body))
        names = {"content_type": "application/json", "content_length": length}
        self.headers = [
            (name.replace("_", "-").title(), value)
            for name, value in {**names, **headers}.items()
            if value is not None
        ]

    def __call__(self, environ, start_response):
        start_response(self.status, list(self.headers))
        return self.body


def ask(inner, accept="gzip", method="GET", minimum=100):
    environ = an_environ(method, "/", headers={"Accept-Encoding": accept})
    return call(Gzip(inner, Options(1, minimum), Workers()), environ)


def test_json_is_compressed_with_its_new_length():
    reply = ask(Inner(etag='"x"', vary="Origin", content_md5="m"))

    assert gzip.decompress(reply.body) == JSON
    assert reply.headers["Content-Encoding"] == "gzip"
    assert reply.headers["Content-Length"] == str(len(reply.body))
    assert reply.headers["Vary"] == "Origin, Accept-Encoding"
    assert reply.headers["Content-Md5"] == "m"
    assert reply.headers["Etag"] == 'W/"x"'


def test_who_does_not_ask_for_it_gets_it_plain_and_caches_know():
    reply = ask(Inner(etag='"x"'), accept="br")

    assert reply.body == JSON
    assert "Content-Encoding" not in reply.headers
    assert reply.headers["Vary"] == "Accept-Encoding"
    assert reply.headers["Etag"] == '"x"'


@pytest.mark.parametrize(
    "inner",
    [
        pytest.param(Inner(content_type="application/octet-stream"), id="data"),
        pytest.param(Inner(content_range="bytes 0-1/9"), id="range"),
        pytest.param(Inner("206 Partial Content"), id="partial"),
        pytest.param(Inner("304 Not Modified"), id="not-modified"),
        pytest.param(Inner("204 No Content"), id="no-content"),
        pytest.param(Inner(content_encoding="br"), id="compressed"),
        pytest.param(Inner(cache_control="no-transform"), id="no-transform"),
        pytest.param(Inner(content_length=None), id="stream"),
        pytest.param(Inner(body=(b"{}",)), id="short"),
    ],
)
def test_the_rest_goes_by_untouched(inner):
    seen = []
    environ = an_environ("GET", "/", headers={"Accept-Encoding": "gzip"})

    body = Gzip(inner, Options(1, 100), Workers())(
        environ, lambda status, headers: seen.append((status, headers))
    )

    assert body is inner.body
    assert seen == [(inner.status, inner.headers)]


def test_head_keeps_the_length_of_what_get_would_send():
    reply = ask(Inner(body=(), content_length="5000"), method="HEAD")

    assert reply.headers["Content-Length"] == "5000"


def test_an_answer_that_begins_with_its_body_arrives_as_it_is():
    def late(environ, start_response):
        headers = [("Content-Type", "application/json"), ("Content-Length", "3004")]
        start_response("200 OK", headers)
        yield JSON

    assert ask(late).body == JSON


def test_a_body_is_closed_when_it_was_read():
    class Body(list):
        closed = False

        def close(self):
            self.closed = True

    body = Body([JSON])
    ask(Inner(body=body))

    assert body.closed


@pytest.mark.parametrize(
    "given",
    [{"level": "0"}, {"level": "10"}, {"minimum": "x"}, {"levle": "1"}],
)
def test_what_cannot_be_meant_ends_the_start(given):
    with pytest.raises(errors.Misconfigured, match=next(iter(given))):
        Options.read(given)


def test_large_answers_are_compressed_in_a_native_thread():
    class Noting(Workers):
        calls = 0

        def run(self, function, /, *args):
            Noting.calls += 1
            return function(*args)

    long = b"1" * compression.LARGE
    environ = an_environ("GET", "/", headers={"Accept-Encoding": "gzip"})

    call(Gzip(Inner(), Options(1, 100), Noting()), environ)
    call(Gzip(Inner(body=(long,)), Options(1, 100), Noting()), environ)

    assert Noting.calls == 1
