"""The http store against web servers on the loopback, which the tests allow."""

import abc
import dataclasses
import itertools
import logging
import threading
import time

import cheroot.wsgi
import pytest

from imageservice import errors
from imageservice.outbound import connection, rules
from imageservice.outbound.connection import Limits
from imageservice.outbound.fetch import Fetcher
from imageservice.stores import http
from imageservice.stores.driver import BLOCK, Written
from imageservice.stores.testing import DriverSuite, Stream, Threads, pattern, read_all
from tests.outbound import servers
from tests.outbound.names import Names

NAMES = Names(images_test=[["127.0.0.1"]], inside_test=[["127.0.0.1"]])
OPEN = rules.Rules(
    allowed_hosts=frozenset({"images.test"}), allowed_ports=frozenset(), may_log_in=True
)


TLS = connection.tls_context(None)


def store(tls=TLS, limits=Limits()):  # noqa: B008
    fetcher = Fetcher(OPEN, NAMES, tls, limits)
    return http.Http("web", Threads(), fetcher)


@pytest.fixture(scope="module")
def plain():
    with servers.running() as server:
        yield server


@pytest.fixture(scope="module")
def verified(tmp_path_factory):
    """A server that proves who it is, and what a client needs to believe it."""
    made, public = servers.certificate(tmp_path_factory.mktemp("tls"), "images.test")
    with servers.running(made) as server:
        yield server, connection.tls_context(str(public))


@pytest.fixture
def server(plain):
    plain.paths.clear()
    plain.asked.clear()
    return plain


class Suite(DriverSuite):
    """Reading is what there is: what is stored for a test is given to the server."""

    test_more_than_five_gibibytes = None

    def left(self, driver):
        return []

    @pytest.fixture
    def driver(self):
        return store()

    @pytest.fixture
    def put(self, server):
        numbers = itertools.count()

        def put(key, data):
            path = f"/{key}-{next(numbers)}"
            server.paths[path] = self.answer(data)
            return Written(server.url(path, "images.test"), len(data), {})

        return put

    @abc.abstractmethod
    def answer(self, data):
        """What the server does with a request for it."""


class TestRanges(Suite):
    def answer(self, data):
        return servers.ranged(data)


class TestNoRanges(Suite):
    def answer(self, data):
        return servers.whole(data)


class TestChunks(Suite):
    """A server that does not say how much it has before it has sent it."""

    def answer(self, data):
        with_size = servers.whole(data)
        without = servers.chunked(data)
        return lambda asked: (with_size if asked.command == "HEAD" else without)(asked)


class TestRedirects(Suite):
    @pytest.fixture
    def put(self, server):
        numbers = itertools.count()

        def put(key, data):
            path = f"/{key}-{next(numbers)}"
            server.paths[path] = servers.redirect(f"/moved{path}")
            server.paths[f"/moved{path}"] = servers.ranged(data)
            return Written(server.url(path, "images.test"), len(data), {})

        return put


class TestSecure(Suite):
    @pytest.fixture
    def driver(self, verified):
        return store(verified[1])

    @pytest.fixture
    def server(self, verified):
        return verified[0]

    def answer(self, data):
        return servers.ranged(data)


@pytest.fixture(scope="module")
def another():
    contents = {}

    def app(environ, start_response):
        data = contents.get(environ["PATH_INFO"])
        if data is None:
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        start_response("200 OK", [("Content-Length", str(len(data)))])
        return [data] if environ["REQUEST_METHOD"] == "GET" else []

    server = cheroot.wsgi.Server(("127.0.0.1", 0), app, numthreads=8, timeout=10)
    server.shutdown_timeout = 1
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield contents, server.bind_addr[1]
    server.stop()
    thread.join()


class TestCheroot(Suite):
    """Another implementation of HTTP: answers may be chunked, connections be kept."""

    @pytest.fixture
    def put(self, another):
        contents, port = another
        numbers = itertools.count()

        def put(key, data):
            path = f"/{key}-{next(numbers)}"
            contents[path] = data
            return Written(f"http://images.test:{port}{path}", len(data), {})

        return put


# --- beyond the suite ---


DATA = pattern(3 * BLOCK + 17)


def test_it_is_read_only():
    driver = store()

    for call in (
        lambda: driver.write("key", Stream(b""), 0),
        lambda: driver.delete("http://images.test/key"),
    ):
        with pytest.raises(errors.Unsupported):
            call()
    assert driver.properties() == {}


def test_a_range_is_asked_for_and_checked(server):
    server.paths["/x"] = servers.ranged(DATA)
    url = server.url("/x", "images.test")

    assert read_all(store(), url, 5, 7) == DATA[5:12]
    assert server.asked[0].headers["Range"] == "bytes=5-11"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("bytes 0-4/100", id="elsewhere"),
        pytest.param("bytes 10-17/100", id="too-few"),
        pytest.param("bytes 10-29/100", id="too-many"),
        pytest.param("bytes 10-19/15", id="beyond-its-end"),
        pytest.param("items 10-19/100", id="other-unit"),
        pytest.param("", id="none"),
    ],
)
def test_a_part_that_is_not_the_one_wanted_is_refused(server, given):
    server.paths["/x"] = servers.raw(
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\n"
        b"Content-Range: %b\r\n\r\n0123456789" % given.encode()
    )

    with pytest.raises(errors.StoreUnavailable):
        read_all(store(), server.url("/x", "images.test"), 10, 10)


def test_a_rest_of_unknown_length_is_refused(server):
    server.paths["/x"] = servers.raw(
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\n"
        b"Content-Range: bytes 10-19/*\r\n\r\n0123456789"
    )

    with pytest.raises(errors.StoreUnavailable):
        read_all(store(), server.url("/x", "images.test"), 10, None)


@pytest.mark.parametrize("code", [201, 204, 301, 304, 400, 401, 403, 429, 500, 503])
def test_whatever_is_no_success_is_an_error(server, code):
    server.paths["/x"] = servers.status(code)
    url = server.url("/x", "images.test")

    for call in (store().read, store().size):
        with pytest.raises(errors.StoreUnavailable):
            call(url)


@pytest.mark.parametrize("code", [404, 410])
def test_what_is_gone_is_not_found(server, code):
    server.paths["/x"] = servers.status(code)

    for call in (store().read, store().size, lambda url: store().read(url, 3, 0)):
        with pytest.raises(errors.KeyNotFound):
            call(server.url("/x", "images.test"))


@pytest.mark.parametrize("code", [400, 403, 405, 501])
def test_the_size_is_known_to_servers_without_head(server, code):
    """As of signed URLs, which are for GET alone."""

    def answer(asked):
        (servers.status(code) if asked.command == "HEAD" else servers.whole(DATA))(
            asked
        )

    server.paths["/x"] = answer

    assert store().size(server.url("/x", "images.test")) == len(DATA)


def test_a_size_that_is_not_told_is_not_zero(server):
    server.paths["/x"] = servers.chunked(b"data")

    with pytest.raises(errors.StoreUnavailable):
        store().size(server.url("/x", "images.test"))


@pytest.mark.parametrize("sent", [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 16])
@pytest.mark.parametrize("span", [(0, None), (0, len(DATA)), (7, None)])
def test_a_server_that_goes_away_in_the_middle_is_noticed(server, sent, span):
    server.paths["/x"] = servers.raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DATA), DATA[:sent]
    )

    with pytest.raises(errors.StoreUnavailable):
        read_all(store(), server.url("/x", "images.test"), *span)


def test_a_server_that_freezes_in_the_middle_is_left(server):
    over = threading.Event()
    server.paths["/x"] = servers.raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DATA) + DATA[:BLOCK],
        b"",
        between=lambda: over.wait(20),
    )
    begun = time.monotonic()

    with pytest.raises(errors.StoreUnavailable):
        read_all(
            store(limits=Limits(read_s=0.3)),
            server.url("/x", "images.test"),
            0,
            len(DATA),
        )

    over.set()
    assert time.monotonic() - begun < 5


def test_data_that_has_changed_its_size_is_not_cut_short(server):
    server.paths["/x"] = servers.whole(b"shorter")

    with pytest.raises(errors.StoreUnavailable):
        store().read(server.url("/x", "images.test"), 0, 100)


def test_a_server_that_is_down_is_unavailable():
    with pytest.raises(errors.StoreUnavailable):
        store().read("http://images.test:1/x")


@pytest.mark.parametrize(
    "url",
    [
        "http://inside.test/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://0/",
        "ftp://a/",
    ],
)
def test_the_filter_stands_before_every_read(server, url):
    server.paths["/"] = servers.redirect(url)

    for way in (url, server.url("/", "images.test")):
        with pytest.raises(errors.LocationInvalid):
            store().read(way)
        with pytest.raises(errors.LocationInvalid):
            store().size(way)


def test_credentials_are_sent_and_never_told(server, caplog):
    caplog.set_level(logging.DEBUG)
    server.paths["/x"] = servers.whole(DATA)
    server.paths["/no?signature=gefaelscht"] = servers.status(403)
    good = server.url("/x", "me:geheim@images.test")
    bad = server.url("/no?signature=gefaelscht", "me:geheim@images.test")
    told = []

    assert read_all(store(), good) == DATA
    for url in (bad, good + "/missing", good.replace("images", "inside")):
        with pytest.raises(errors.Error) as failed:
            store().read(url)
        told.append(str(failed.value))

    assert server.asked[0].headers["Authorization"] == "Basic bWU6Z2VoZWlt"
    for text in [*told, caplog.text]:
        assert "geheim" not in text
        assert "gefaelscht" not in text


# --- options ---

DEFAULTS = {option.dest: option.default for option in (*http.Http.OPTS, *rules.OPTS)}


def configured(**options):
    return http.Http.configured("web", {**DEFAULTS, **options}, Threads())


def test_certificates_are_verified_unless_the_operator_says_otherwise():
    assert configured()._fetcher.tls.check_hostname
    assert not configured(https_insecure=True)._fetcher.tls.check_hostname


def test_options_become_limits():
    driver = configured(
        http_store_connect_timeout=2,
        http_store_read_timeout=3,
        http_store_minimum_rate=4,
        disallowed_networks=["private"],
    )

    assert dataclasses.astuple(driver._fetcher.limits) == (2, 3, 4096, None)
    assert driver._fetcher.rules.disallowed_networks


@pytest.mark.parametrize(
    "options",
    [
        {"https_ca_certificates_file": "/nowhere.pem"},
        {"https_ca_certificates_file": __file__},
        {"http_proxy_information": {"http": "proxy:3128"}},
        {"disallowed_networks": ["not a network"]},
    ],
)
def test_what_cannot_work_ends_the_start(options):
    with pytest.raises(errors.Misconfigured):
        configured(**options)


def test_a_third_store_would_be_one_too_many():
    assert configured().claims() == store().claims()
