"""Real connections through the filter, on the loopback that a test allows."""

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from imageservice import errors
from imageservice.outbound import connection
from imageservice.outbound.connection import Limits
from imageservice.outbound.fetch import REDIRECTS, Fetcher
from imageservice.outbound.names import System
from imageservice.outbound.rules import Rules
from imageservice.stores.testing import Threads, pattern

from . import servers
from .names import Names

OPEN = Rules(
    allowed_hosts=frozenset({"127.0.0.1", "images.test"}), allowed_ports=frozenset()
)
NAMES = Names(
    images_test=[["127.0.0.1"]], inside_test=[["127.0.0.1"]], both_test=[["127.0.0.1"]]
)
QUICK = Limits(connect_s=2, read_s=0.3, rate=1000)


def fetcher(rules=OPEN, resolve=NAMES, limits=Limits(), tls=None):  # noqa: B008
    return Fetcher(rules, resolve, tls or connection.tls_context(None), limits)


@pytest.fixture
def server():
    with servers.running() as server:
        yield server


@pytest.fixture
def other():
    with servers.running() as server:
        yield server


def body(response):
    try:
        return b"".join(response)
    finally:
        response.close()


def get(url, **options):
    return body(fetcher(**options).open(url))


def fails(url, **options):
    with pytest.raises(errors.OutboundFailed) as failed:
        get(url, **options)
    return failed.value.values["reason"]


def is_refused(url, **options):
    with pytest.raises(errors.OutboundRefused) as refused:
        get(url, **options)
    return refused.value.values["reason"]


# --- where ---


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "0.0.0.0", "[::]", "[::1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]",
        "[::ffff:0.0.0.0]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "127.1", "2130706433",
        "0x7f.1", "0177.0.0.1", "0", "inside.test",
    ],
)  # fmt: skip
def test_this_machine_hears_nothing_of_it(server, host):
    is_refused(server.url("/", host), rules=Rules(allowed_ports=frozenset()))

    assert server.asked == []


def test_a_host_that_the_operator_lists_is_reached(server):
    server.paths["/x"] = servers.whole(b"data")

    assert get(server.url("/x")) == b"data"
    assert get(server.url("/x", "images.test")) == b"data"


def test_one_bad_address_of_a_name_is_enough(server):
    mixed = Names(mixed_test=[["8.8.8.8", "127.0.0.1"]])

    reason = is_refused(
        server.url("/", "mixed.test"),
        rules=Rules(allowed_ports=frozenset()),
        resolve=mixed,
    )

    assert "127.0.0.1, loopback" in reason


def test_a_name_is_resolved_once_so_it_cannot_change_its_mind(server, monkeypatch):
    """DNS rebinding: a good address for the check, this machine for the connection."""
    rebound = Names(rebound_test=[["192.168.0.1"], ["127.0.0.1"]])
    connected = []
    monkeypatch.setattr(
        socket.socket,
        "connect",
        lambda plug, address: connected.append(address) or refuse(),
    )
    strict = Rules(allowed_ports=frozenset())

    fails(server.url("/", "rebound.test"), rules=strict, resolve=rebound)

    assert connected == [("192.168.0.1", server.port)]
    assert rebound.asked == ["rebound.test"]
    is_refused(server.url("/", "rebound.test"), rules=strict, resolve=rebound)
    assert server.asked == []


def refuse():
    raise ConnectionRefusedError("as if nobody were there")


def test_the_next_address_is_tried_when_one_does_not_answer(server):
    server.paths["/"] = servers.whole(b"second")
    names = Names(images_test=[["127.0.0.2", "::1", "127.0.0.1"]])

    assert get(server.url("/", "images.test"), resolve=names) == b"second"


def test_check_says_the_same_without_a_connection(server):
    strict = fetcher(rules=Rules(allowed_ports=frozenset()))

    fetcher().check(server.url())
    with pytest.raises(errors.OutboundRefused):
        strict.check(server.url())
    with pytest.raises(errors.OutboundFailed):
        strict.check(server.url("/", "unknown.test"))
    assert server.asked == []


def test_an_unknown_name_and_a_closed_port_are_told_in_the_same_words():
    told = set()
    for url in (
        "http://unknown.test/",
        "http://127.0.0.1:1/",
        "http://169.254.169.254/",
    ):
        with pytest.raises(errors.Error) as failed:
            get(url, rules=OPEN if "0.1" in url else Rules())
        told.add(str(failed.value))

    assert told == {"Nothing can be fetched from this address."}


def test_the_system_knows_localhost_and_not_every_name():
    system = System(Threads(), 10)

    assert "127.0.0.1" in [str(address) for address in system("localhost")]
    with pytest.raises(errors.OutboundFailed):
        system("name.invalid")


# --- what is sent ---


def test_the_server_sees_the_name_and_a_modest_request(server):
    server.paths["/a%20b?c=d"] = servers.whole(b"")

    get(server.url("/a b?c=d#e", "images.test"))

    (asked,) = server.asked
    assert asked.headers["Host"] == f"images.test:{server.port}"
    assert asked.headers["Accept-Encoding"] == "identity"
    assert asked.headers["Authorization"] is None


def test_no_proxy_and_no_password_comes_from_the_environment(
    server, monkeypatch, tmp_path
):
    server.paths["/"] = servers.whole(b"direct")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert get(server.url()) == b"direct"
    assert server.asked[0].headers["Authorization"] is None


def test_a_header_cannot_bring_another(server):
    with pytest.raises(errors.OutboundRefused):
        fetcher().open(server.url(), headers={"X": "a\r\nY: b"})


def test_compressed_data_comes_as_it_is(server):
    server.paths["/"] = servers.whole(b"\x1f\x8bnot really", Content_Encoding="gzip")

    assert get(server.url()) == b"\x1f\x8bnot really"


# --- redirects ---


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(server, other, code):
    server.paths["/a"] = servers.redirect(other.url("/b"), code)
    other.paths["/b"] = servers.whole(b"there")

    assert get(server.url("/a")) == b"there"


def test_there_is_an_end_to_redirects(server):
    for number in range(REDIRECTS + 1):
        server.paths[f"/{number}"] = servers.redirect(f"/{number + 1}")
    server.paths[f"/{REDIRECTS + 1}"] = servers.whole(b"far away")

    assert get(server.url("/1")) == b"far away"
    assert "redirects" in fails(server.url("/0"))


@pytest.mark.parametrize("host", ["inside.test", "[::1]", "0.0.0.0", "localhost"])
def test_a_redirect_into_this_machine_is_not_followed(server, other, host):
    server.paths["/"] = servers.redirect(other.url("/secret", host))

    is_refused(server.url("/", "images.test"), rules=OPEN)

    assert other.asked == []


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "http://a:b@127.0.0.1/", "//[::1", "http://a\\@b/"],
)
def test_an_odd_redirect_is_refused(server, location):
    server.paths["/"] = servers.redirect(location)

    is_refused(server.url())


def test_credentials_stay_with_the_host_they_were_for(server, other):
    server.paths["/a"] = servers.redirect("/b")
    server.paths["/b"] = servers.redirect(other.url("/c"))
    other.paths["/c"] = servers.redirect(server.url("/d"))
    server.paths["/d"] = servers.whole(b"end")
    rules = Rules(OPEN.allowed_schemes, allowed_hosts=OPEN.allowed_hosts,
                  allowed_ports=frozenset(), may_log_in=True)  # fmt: skip
    url = server.url("/a").replace("//", "//me:secret@")

    response = fetcher(rules=rules).open(
        url, headers={"Range": "bytes=0-"}, secrets={"X-Auth-Token": "t"}
    )

    assert body(response) == b"end"
    seen = {asked.path: asked.headers for asked in [*server.asked, *other.asked]}
    for path, trusted in {"/a": True, "/b": True, "/c": False, "/d": False}.items():
        assert (seen[path]["Authorization"] is not None) is trusted
        assert (seen[path]["X-Auth-Token"] is not None) is trusted
        assert seen[path]["Range"] == "bytes=0-"


# --- TLS ---


@pytest.fixture
def secure(tmp_path):
    context, public = servers.certificate(tmp_path, "images.test")
    with servers.running(context) as server:
        yield server, connection.tls_context(str(public))


def test_the_certificate_is_for_the_name_not_for_the_address(secure):
    server, trusting = secure
    server.paths["/"] = servers.whole(b"safe")

    assert get(server.url("/", "images.test"), tls=trusting) == b"safe"
    assert "certificate" in fails(server.url(), tls=trusting).lower()


def test_an_unknown_authority_is_refused_unless_the_operator_wants_it(secure):
    server, _ = secure
    server.paths["/"] = servers.whole(b"perhaps safe")
    url = server.url("/", "images.test")

    assert "certificate" in fails(url).lower()
    assert get(url, tls=connection.tls_context(None, insecure=True)) == b"perhaps safe"


def test_from_https_there_is_no_way_back(secure, server):
    safe, trusting = secure
    safe.paths["/"] = servers.redirect(server.url("/", "images.test"))

    is_refused(safe.url("/", "images.test"), tls=trusting)

    assert server.asked == []


def test_http_may_lead_to_https(secure, server):
    safe, trusting = secure
    server.paths["/"] = servers.redirect(safe.url("/", "images.test"))
    safe.paths["/"] = servers.whole(b"safe")

    assert get(server.url(), tls=trusting) == b"safe"


# --- bytes ---


@pytest.mark.parametrize("size", [0, 1, 100_000, 2**20 - 1, 2**20, 3 * 2**20 + 7])
@pytest.mark.parametrize("answer", [servers.whole, servers.chunked])
def test_all_bytes_come(server, size, answer):
    data = pattern(size)
    server.paths["/"] = answer(data)

    assert get(server.url()) == data


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([HEAD + b"Content-Length: 9\r\n\r\n12345"], id="short"),
        pytest.param([HEAD + b"\r\n12345"], id="end-unknown"),
        pytest.param([b"HTTP/1.0 200 OK\r\n\r\n12345"], id="old"),
        pytest.param([HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"], id="chunk"),
        pytest.param([HEAD + b"Transfer-Encoding: chunked\r\n\r\n0"], id="half-a-chunk"),
        pytest.param(
            [HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n12345\r\n0\r\n\r\n"], id="odd"
        ),
        pytest.param([HEAD + b"Content-Length: 5\r\nContent-Length: 3\r\n\r\n12345"], id="two"),
        pytest.param(
            [HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
            id="both",
        ),
        pytest.param([HEAD + b"Content-Length: -5\r\n\r\n12345"], id="negative"),
        pytest.param([b""], id="nothing"),
        pytest.param([HEAD], id="half-a-head"),
        pytest.param([b"SSH-2.0-OpenSSH_9.9\r\n"], id="not-http"),
        pytest.param([HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n"], id="long-head"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n" * 9000], id="for-ever-interim"),
        pytest.param([b"HTTP/1.1 101 Over\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
                     id="upgrade"),
    ],
)  # fmt: skip
def test_an_answer_that_is_broken_never_looks_complete(server, pieces):
    server.paths["/"] = servers.raw(*pieces)

    assert fails(server.url())


def test_interim_answers_are_passed_over(server):
    hints = b"HTTP/1.1 103 Early Hints\r\nLocation: /bad\r\nContent-Length: 9\r\n\r\n"
    server.paths["/"] = servers.raw(hints + HEAD + b"Content-Length: 2\r\n\r\nok")

    assert get(server.url()) == b"ok"


@pytest.mark.parametrize("answer", [servers.whole, servers.chunked])
def test_more_than_is_wanted_is_not_taken(server, answer):
    server.paths["/"] = answer(pattern(300_000))

    assert len(get(server.url(), limits=Limits(total=300_000))) == 300_000
    assert "more than" in fails(server.url(), limits=Limits(total=299_999))


def test_a_total_of_nothing_is_a_limit_too(server):
    server.paths["/"] = servers.chunked(b"x")

    fails(server.url(), limits=Limits(total=0))


# --- time ---


@pytest.fixture
def held():
    """An event that is set when the test ends, for answers that wait until then."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize(
    "begin", [b"", b"HTTP/1.1 20", HEAD + b"Content-Length: 5\r\n\r\n12"]
)
def test_a_server_that_falls_silent_is_left(server, held, begin):
    server.paths["/"] = servers.raw(begin, b"rest", between=lambda: held.wait(20))

    begun = time.monotonic()
    reason = fails(server.url(), limits=QUICK)

    assert "timed out" in reason
    assert time.monotonic() - begun < 5


def drops(held, head):
    """One byte now and then, for as long as anybody listens."""

    def answer(handler):
        handler.wfile.write(head)
        for _ in itertools.count():
            handler.wfile.write(b"x")
            if held.wait(0.05):
                return

    return answer


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", id="head"),
        pytest.param(HEAD + b"Content-Length: 1000000\r\n\r\n", id="body"),
    ],
)
def test_a_server_that_sends_drop_by_drop_is_left(server, held, head):
    server.paths["/"] = drops(held, head)

    begun = time.monotonic()
    fails(server.url(), limits=QUICK)

    assert time.monotonic() - begun < 5


def test_a_slow_reader_is_no_slow_server(server):
    data = pattern(3 * 2**20)
    server.paths["/"] = servers.whole(data)
    limits = Limits(read_s=0.2, rate=2**30)
    response = fetcher(limits=limits).open(server.url())

    found = []
    for block in response:
        found.append(block)
        threading.Event().wait(0.15)

    assert b"".join(found) == data


def test_whoever_accepts_and_never_speaks_tls_is_left():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}/"

        begun = time.monotonic()
        fails(url, limits=Limits(connect_s=0.3))

        assert time.monotonic() - begun < 5


@pytest.fixture
def dripping_tls():
    """Accepts, and sends the beginning of a handshake one byte at a time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip():
            plug, _ = listener.accept()
            with plug, contextlib.suppress(OSError):
                for byte in b"\x16\x03\x03\x40\x00" + bytes(10_000):
                    plug.sendall(bytes([byte]))
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/"


def test_a_handshake_that_comes_drop_by_drop_ends(dripping_tls):
    begun = time.monotonic()
    fails(dripping_tls, limits=Limits(connect_s=0.5))

    assert time.monotonic() - begun < 5


# --- in the daemon ---

GREEN = """
import imageservice.wsgi.server
import sys, time, eventlet
from tests.outbound.test_fetch import fetcher
from imageservice import errors
from imageservice.outbound import connection

url, secure, dripping, ca = sys.argv[1:]
ticks = []
def tick():
    while True:
        ticks.append(1)
        eventlet.sleep(0.01)
eventlet.spawn(tick)
tls = connection.tls_context(ca)
for where in (url, secure):
    before = len(ticks)
    data = b"".join(fetcher(tls=tls).open(where))
    assert data == b"x" * 3000000, len(data)
    assert len(ticks) - before > 10, f"{where}: the others stood still"
begun = time.monotonic()
try:
    fetcher(tls=tls, limits=connection.Limits(connect_s=0.5)).open(dripping)
except errors.OutboundFailed:
    assert time.monotonic() - begun < 5
else:
    sys.exit("a handshake of zeros")
"""


def test_in_the_daemon_only_the_caller_waits_and_not_for_ever(
    server, tmp_path, dripping_tls
):
    def slow(handler):
        time.sleep(0.3)
        servers.whole(b"x" * 3_000_000)(handler)

    context, public = servers.certificate(tmp_path, "images.test")
    server.paths["/"] = slow
    with servers.running(context) as secure:
        secure.paths["/"] = slow
        done = subprocess.run(
            [sys.executable, "-c", GREEN, server.url(), secure.url("/", "images.test"), dripping_tls,
             str(public)],
            capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
