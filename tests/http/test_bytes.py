"""What YAML cannot say: requests byte by byte, on every kind of server."""

import http.client
import socket
from collections.abc import Iterator

import pytest

from tests import people
from tests.hammer import calls
from tests.http.servers import KINDS, Servers, Setting

USUAL = Setting(configuration={}, files={}, single_store=False)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, servers: Servers) -> str:
    return servers.url(request.param, USUAL)


@pytest.fixture
def daemon_url(servers: Servers) -> str:
    """The URL of our own server; how strict others are is their business."""
    if "daemon" not in KINDS:
        pytest.skip("told to a service that runs elsewhere")
    return servers.url("daemon", USUAL)


@pytest.fixture
def image(url: str) -> Iterator[str]:
    path = calls.create(url)
    yield path
    calls.call(url, "DELETE", path)


def exchange(
    url: str, *lines: str, body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """Send a request as written, with the owner's identity; return the answer."""
    identity = people.headers("owner", calls.PROJECTS)
    head = [*lines, "Host: test", *(f"{n}: {v}" for n, v in identity.items()), "", ""]
    with socket.create_connection(calls.address(url), timeout=20) as plug:
        plug.sendall("\r\n".join(head).encode("latin-1") + body)
        answer = http.client.HTTPResponse(plug, method=lines[0].split()[0])
        answer.begin()
        return answer.status, dict(answer.getheaders()), answer.read()


def test_data_of_unknown_length_is_uploaded_in_chunks(url: str, image: str) -> None:
    upload = calls.Upload(url, image, None)
    for piece in (b"01234", b"5", b"6789"):
        upload.send(piece)

    assert upload.end() == 204
    assert calls.download(url, image) == b"0123456789"


def test_an_empty_chunked_upload_is_an_empty_image(url: str, image: str) -> None:
    assert calls.Upload(url, image, None).end() == 204
    assert calls.show(url, image)["size"] == 0


def test_an_empty_chunked_body_is_a_body_where_none_is_allowed(
    url: str, image: str
) -> None:
    status, _, _ = exchange(
        url,
        f"POST {image}/actions/deactivate HTTP/1.1",
        "Transfer-Encoding: chunked",
        body=b"0\r\n\r\n",
    )

    assert status == 400


def test_a_document_may_come_in_chunks(url: str) -> None:
    status, _, _ = exchange(
        url,
        "POST /v2/images HTTP/1.1",
        "Transfer-Encoding: chunked",
        body=b'8\r\n{"name":\r\n7\r\n "bit"}\r\n0\r\n\r\n',
    )

    assert status == 201


def test_head_is_answered_without_a_body(url: str, image: str) -> None:
    status, headers, body = exchange(url, f"HEAD {image} HTTP/1.1")

    assert (status, body) == (405, b"")
    assert "GET" in headers["Allow"]


def test_who_asks_in_http_1_0_is_answered_and_let_go(url: str) -> None:
    status, _, body = exchange(url, "GET /v2/images?limit=1 HTTP/1.0")

    assert status == 200
    assert body.startswith(b"{")


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Content-Length: -5"],
        ["Content-Length: five"],
        ["Transfer-Encoding: chunked, chunked"],
    ],
    ids=lambda lines: "; ".join(lines),
)
def test_a_body_of_two_lengths_is_refused_and_the_connection_closed(
    daemon_url: str, lines: list[str]
) -> None:
    """Otherwise a second request can be smuggled in; RFC 9112, section 6."""
    answers = _said(
        daemon_url,
        ["POST /v2/images HTTP/1.1", *lines],
        body=b"GET /versions HTTP/1.1\r\n\r\n",
    )

    assert answers.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
    assert answers.count(b"HTTP/1.1 ") == 1


def test_who_may_not_upload_hears_it_instead_of_continue(daemon_url: str) -> None:
    image = calls.create(daemon_url)
    assert calls.put(daemon_url, image, b"x") == 204

    answers = _said(
        daemon_url,
        [
            f"PUT {image}/file HTTP/1.1",
            "Content-Type: application/octet-stream",
            "Content-Length: 1000000",
            "Expect: 100-continue",
            "Connection: close",
        ],
    )

    assert answers.startswith(b"HTTP/1.1 409")


def _said(url: str, lines: list[str], body: bytes = b"") -> bytes:
    """Send a request as written and return all that comes until the end."""
    identity = people.headers("owner", calls.PROJECTS)
    lines = [*lines, "Host: test", *(f"{n}: {v}" for n, v in identity.items()), "", ""]
    with socket.create_connection(calls.address(url), timeout=20) as plug:
        plug.sendall("\r\n".join(lines).encode("latin-1") + body)
        return plug.makefile("rb").read()
