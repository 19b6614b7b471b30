"""Malformed requests for every route: refusals, never a crash."""

import contextlib
import http.client
import json
import socket
import string
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imageservice.api.routes import ROUTES
from tests import people
from tests.conftest import daemons
from tests.daemon import Daemon
from tests.hammer import calls

#: The only 5xx that the contract names for a request (images.md §1.1, RFC 9110).
ALLOWED = {501, 505}

FEW = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

# Bytes that no URL may hold as they are; http.client would refuse to send them.
SAFE = string.ascii_letters + string.digits + "-._~%!$&'()*+,;=:@?/"

text = st.text(max_size=40)
odd_words = st.sampled_from(
    [
        "",
        " ",
        "\x00",
        "\n",
        "null",
        "true",
        "-1",
        "0",
        "1e400",
        "NaN",
        "é",
        "\U0001f600",
    ]
    + [
        "9" * 30,
        "x" * 300,
        "../..",
        "%",
        "%00",
        "%ff",
        "a/b",
        "eq:",
        "in:",
        'in:"',
        "gt:",
    ]
)
words = text | odd_words
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | words
    | st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**400]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4)
    ),
    max_leaves=8,
)
BASE = """
    id name status visibility protected os_hidden owner size virtual_size checksum
    os_hash_algo os_hash_value container_format disk_format min_disk min_ram tags
    created_at updated_at self file schema direct_url locations stores location
    deleted deleted_at os_glance_x image_id version kernel_id member properties
    limit marker sort sort_key sort_dir tag member_status size_min changes-since
"""
known = st.sampled_from(BASE.split())
names = known | words


@pytest.fixture(params=["sqlite", "postgresql", "mysql"], scope="module")
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    with daemons(tmp_path_factory.mktemp("garbage")) as start:
        yield start(database=request.param)


@pytest.fixture(scope="module")
def connection(daemon: Daemon) -> Iterator[http.client.HTTPConnection]:
    """One connection for all: what is left over in it breaks the next request."""
    host, port = calls.address(daemon.url)
    connection = http.client.HTTPConnection(host, port, timeout=calls.TIMEOUT_S)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def image(daemon: Daemon) -> str:
    path = calls.create(daemon.url, tags=["t"], colour="blue")
    assert calls.put(daemon.url, path, b"0123456789") == 204
    return path


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> int:
    """Make a request, and check the answer as far as every answer must be right."""
    given_headers = people.headers("admin", calls.PROJECTS) | dict(headers or {})
    # It may be answered before all of it was read; the answer is there then.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.request(method, path, body, given_headers)
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status < 500 or answer.status in ALLOWED, (answer.status, content)
    if answer.getheader("Content-Type") == "application/json" and content:
        json.loads(content)
    return answer.status


def encoded(value: Any) -> bytes:
    """As JSON, with whatever JSON has no word for: surrogates, NaN."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


@FEW
@given(body=st.dictionaries(names, values, max_size=6) | values)
def test_new_images(connection: http.client.HTTPConnection, body: Any) -> None:
    headers = {"Content-Type": "application/json"}
    ask(connection, "POST", "/v2/images", encoded(body), headers)


@FEW
@given(body=st.binary(max_size=200))
def test_bodies_that_are_not_json(
    connection: http.client.HTTPConnection, image: str, body: bytes
) -> None:
    for method, path in (
        ("POST", "/v2/images"),
        ("PATCH", image),
        ("POST", f"{image}/members"),
        ("PUT", f"{image}/members/{calls.PROJECTS['partner']}"),
    ):
        kind = calls.PATCH if method == "PATCH" else "application/json"
        assert ask(connection, method, path, body, {"Content-Type": kind}) >= 400


operations = st.dictionaries(
    st.sampled_from(["op", "path", "value", "from", "add", "replace", "remove"]), values
) | st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "replace", "remove", "test", "move"]) | values,
        "path": names.map(lambda name: f"/{name}") | words | values,
        "value": values,
    }
)


@FEW
@given(
    patch=st.lists(operations, max_size=4) | values,
    version=st.sampled_from(["2.0", "2.1"]),
)
def test_patches(
    connection: http.client.HTTPConnection, image: str, patch: Any, version: str
) -> None:
    kind = f"application/openstack-images-v{version}-json-patch"
    ask(connection, "PATCH", image, encoded(patch), {"Content-Type": kind})


@FEW
@given(pairs=st.lists(st.tuples(names, words), max_size=5))
def test_queries(
    connection: http.client.HTTPConnection, pairs: list[tuple[str, str]]
) -> None:
    query = "&".join(
        f"{quote(name.encode('utf-8', 'surrogatepass'))}"
        f"={quote(value.encode('utf-8', 'surrogatepass'))}"
        for name, value in pairs
    )
    ask(connection, "GET", f"/v2/images?{query}")


@FEW
@given(query=st.text(SAFE, max_size=60))
def test_queries_that_are_not_pairs(
    connection: http.client.HTTPConnection, query: str
) -> None:
    ask(connection, "GET", f"/v2/images?{query}")


@FEW
@given(
    method=st.sampled_from(
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    ),
    parts=st.lists(
        st.text(SAFE, max_size=20)
        | st.sampled_from(["v2", "images", "file", "tags", "members", "actions", "%00"])
        | st.sampled_from(["%ff", "%2F", "%0A", "..", "", "schemas", "info", "stores"]),
        max_size=6,
    ),
)
def test_paths(
    connection: http.client.HTTPConnection, method: str, parts: list[str]
) -> None:
    ask(connection, method, "/" + "/".join(parts))


@FEW
@given(
    route=st.sampled_from(ROUTES),
    words_=st.tuples(words, words, words),
    body=st.none() | st.binary(max_size=20),
)
def test_every_route_with_any_words_in_its_path(
    connection: http.client.HTTPConnection,
    route: Any,
    words_: tuple[str, str, str],
    body: bytes | None,
) -> None:
    image_id, tag, member_id = (
        quote(word.encode("utf-8", "surrogatepass"), safe="") for word in words_
    )
    path = route.path.format(store=tag, image_id=image_id, tag=tag, member_id=member_id)
    ask(connection, route.method, path, body)


headers = st.dictionaries(
    st.sampled_from(
        [
            "Accept",
            "Content-Type",
            "Range",
            "Content-Range",
            "If-None-Match",
            "If-Range",
        ]
        + ["X-Image-Meta-Store", "X-OpenStack-Image-Size", "X-OpenStack-Request-ID"]
        + ["X-Roles", "X-Project-Id", "Accept-Language", "Accept-Encoding", "Cookie"]
        + ["X-Service-Roles", "X-Service-Catalog", "X-Auth-Token", "Authorization"]
    ),
    st.text(string.printable.strip() + " \xe9\xff", max_size=30)
    | st.sampled_from(["bytes=0-", "bytes=-", "bytes=1-0", "bytes 0-1/*", "*/*;q=x"])
    | st.sampled_from(["application/json;q=NaN", "text/html;;;", '"', 'W/"', "9" * 30]),
    max_size=4,
)


@FEW
@given(route=st.sampled_from(ROUTES), given_headers=headers)
def test_headers(
    connection: http.client.HTTPConnection,
    image: str,
    route: Any,
    given_headers: dict[str, str],
) -> None:
    path = route.path.format(
        store="main", image_id=calls.name(image), tag="u", member_id="m"
    )
    if route.method == "DELETE":
        path = path.replace(calls.name(image), "none")
    sent = {name: value.encode("latin-1") for name, value in given_headers.items()}
    ask(connection, route.method, path, None, sent)  # type: ignore[arg-type]


@FEW
@given(data=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_bytes_that_are_not_http(daemon: Daemon, data: bytes) -> None:
    """Whatever comes is answered with 4xx, 501 or 505, or hung up on."""
    with socket.create_connection(calls.address(daemon.url), timeout=10) as plug:
        plug.sendall(data + b"\r\n\r\n")
        plug.shutdown(socket.SHUT_WR)
        answer = plug.makefile("rb").readline()
    if answer:
        status = int(answer.split()[1])
        assert status < 500 or status in ALLOWED


def test_after_all_this_the_daemon_is_well_and_has_logged_no_crash(
    daemon: Daemon,
) -> None:
    image = calls.create(daemon.url)
    assert calls.put(daemon.url, image, b"0123456789") == 204
    assert calls.download(daemon.url, image) == b"0123456789"
    assert "Traceback" not in daemon.log.read_text(errors="replace")
