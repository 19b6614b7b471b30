"""Downloads that go to the store itself, with the clients that people use."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from imageservice.stores.testing import fetched
from tests import people
from tests.conftest import daemons
from tests.daemon import Daemon
from tests.hammer import calls
from tests.stores import clients
from tests.stores.backends import Backend, sections
from tests.stores.clients import Client
from tests.stores.swift_stores import client as swift_client

pytestmark = [
    pytest.mark.servers,
    pytest.mark.parametrize("backend", ["s3", "swift"], indirect=True),
]

DATA = bytes(range(256)) * 4096 * 7
KEY = "a-key-of-the-account"

# Of one role: glanceclient would encode the comma in a list of them.
IDENTITY = people.headers("admin", calls.PROJECTS)


@pytest.fixture(scope="module")
def backend(backend: Backend, request: pytest.FixtureRequest) -> Backend:
    if backend.kind == "swift":
        connection = swift_client(request.getfixturevalue("swift"))
        connection.post_account({"X-Account-Meta-Temp-URL-Key": KEY})
    return backend


@pytest.fixture(scope="module")
def daemon(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    options = sections(backend)
    options["DEFAULT"] |= {
        "debug": True,
        "default_log_levels": "amqp=WARN",  # leaves all libraries at DEBUG
    }
    options["only"] = backend.options | {"redirect": True}
    with daemons(tmp_path_factory.mktemp("daemon")) as start:
        yield start(options)


@pytest.fixture(scope="module")
def image(daemon: Daemon) -> str:
    """The path of an image in the store."""
    path = calls.create(daemon.url)
    assert calls.put(daemon.url, path, DATA) == 204
    return path


def test_the_answer_is_a_secret_of_short_life(daemon: Daemon, image: str) -> None:
    answer = calls.call(daemon.url, "GET", f"{image}/file")

    assert (answer.status, answer.body) == (307, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    address = answer.headers["Location"]
    whole = fetched(address)
    assert (whole.status, whole.body) == (200, DATA)
    part = fetched(address, {"Range": "bytes=5-9"})
    assert (part.status, part.body) == (206, DATA[5:10])


def test_who_asks_for_it_gets_the_bytes_here(daemon: Daemon, image: str) -> None:
    answer = calls.call(daemon.url, "GET", f"{image}/file?prefer=proxy")

    assert (answer.status, answer.body) == (200, DATA)


@pytest.mark.parametrize(("who", "status"), [("stranger", 404), ("reader", 403)])
def test_who_may_not_download_is_told_no_address(
    daemon: Daemon, image: str, who: str, status: int
) -> None:
    answer = calls.call(daemon.url, "GET", f"{image}/file", who=who)

    assert answer.status == status
    assert "Location" not in answer.headers


@pytest.mark.parametrize("client", [*clients.RANGED, *clients.WHOLE])
def test_clients_follow(daemon: Daemon, image: str, client: Client) -> None:
    assert client(daemon.url, image, IDENTITY) == DATA


@pytest.mark.parametrize("client", clients.RANGED)
def test_clients_repeat_their_range(daemon: Daemon, image: str, client: Client) -> None:
    headers = IDENTITY | {"Range": "bytes=5-9"}

    assert client(daemon.url, image, headers) == DATA[5:10]


def test_no_log_has_the_signature(daemon: Daemon, image: str) -> None:
    answer = calls.call(daemon.url, "GET", f"{image}/file")

    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    [signature] = query.get("X-Amz-Signature") or query["temp_url_sig"]
    log = daemon.log.read_text()
    assert calls.name(image) in log
    assert signature not in log
    assert KEY not in log
