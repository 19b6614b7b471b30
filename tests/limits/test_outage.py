"""A Keystone that is down, slow or talks rubbish: 503, and nothing else suffers."""

import threading
import time
import uuid
from collections.abc import Iterator

import pytest

from tests import sick_keystone
from tests.conftest import StartDaemon
from tests.daemon import Daemon
from tests.limits.people import MIB, Project
from tests.sick_keystone import Reply, SickKeystone

# A daemon, or more, for nearly every test, and waits that are meant.
pytestmark = pytest.mark.slow


@pytest.fixture
def sick() -> Iterator[SickKeystone]:
    with sick_keystone.running() as running:
        yield running


@pytest.fixture
def daemon(sick: SickKeystone, start_daemon: StartDaemon) -> Daemon:
    return start_daemon(
        {
            "DEFAULT": {
                "use_keystone_limits": True,
                "keystone_limits_cache_time": 0,
                "workers": 1,
            },
            "oslo_limit": sick.options() | {"timeout": 2},
        }
    )


@pytest.fixture
def owner(daemon: Daemon) -> Project:
    return Project(daemon)


@pytest.fixture
def end() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


ILL: dict[str, Reply] = {
    "forbidden": (403, {"error": {"code": 403, "message": "no", "title": "no"}}),
    "broken": (500, b"oops"),
    "rubbish": (200, b"<html>Welcome to nginx!</html>"),
}


@pytest.mark.parametrize("kind", ILL)
def test_without_limits_nothing_is_stored(
    daemon: Daemon, owner: Project, sick: SickKeystone, kind: str
) -> None:
    image = owner.image()
    for path in ("/v3/limits", "/v3/registered_limits"):
        sick.ill[path] = lambda: ILL[kind]

    refused = owner.upload(image, MIB)

    assert refused.status_code == 503
    assert "Try again later" in refused.text
    assert owner.status(image) == "queued"
    assert list(daemon.images.rglob(image)) == []
    assert "Keystone" in daemon.log.read_text()

    sick.ill.clear()
    assert owner.upload(image, MIB).status_code == 204


def test_without_limits_nothing_is_created(owner: Project, sick: SickKeystone) -> None:
    before = owner.call("GET", "/v2/images").json()["images"]
    sick.ill["/v3/limits"] = lambda: ILL["broken"]

    refused = owner.create()

    assert refused.status_code == 503
    assert owner.call("GET", "/v2/images").json()["images"] == before


def test_without_limits_there_is_no_usage_either(
    owner: Project, sick: SickKeystone
) -> None:
    sick.ill["/v3/limits"] = lambda: ILL["broken"]

    assert owner.call("GET", "/v2/info/usage").status_code == 503


def test_a_keystone_that_hangs_stops_no_other_request(
    daemon: Daemon, owner: Project, sick: SickKeystone, end: threading.Event
) -> None:
    image = owner.image()
    owner.upload(image, MIB)
    waits = threading.Event()

    def hang() -> Reply:
        waits.set()
        end.wait(60)
        return 500, b""

    sick.ill["/v3/limits"] = hang
    answers: list[int] = []
    uploading = threading.Thread(
        target=lambda: answers.append(owner.upload(str(uuid.uuid4()), 1).status_code)
    )
    uploading.start()
    assert waits.wait(10)
    other = Project(daemon, owner.id)
    slowest = 0.0

    while uploading.is_alive():
        began = time.monotonic()
        assert other.call("GET", f"/v2/images/{image}").status_code == 200
        slowest = max(slowest, time.monotonic() - began)

    assert answers == [503]
    assert slowest < 1.0


def test_a_keystone_that_drips_is_not_waited_for_longer_than_the_timeout(
    owner: Project, sick: SickKeystone, end: threading.Event
) -> None:
    def drip() -> Reply:
        end.wait(60)
        return 500, b""

    sick.ill["/v3/limits"] = drip
    began = time.monotonic()

    assert owner.upload(str(uuid.uuid4()), 1).status_code == 503
    assert time.monotonic() - began < 10


def test_the_daemon_starts_without_keystone(start_daemon: StartDaemon) -> None:
    with sick_keystone.running() as gone:
        options = gone.options()
    daemon = start_daemon(
        {"DEFAULT": {"use_keystone_limits": True}, "oslo_limit": options}
    )

    assert Project(daemon).upload(str(uuid.uuid4()), 1).status_code == 503


def test_a_file_without_an_account_ends_the_start(start_daemon: StartDaemon) -> None:
    with pytest.raises(AssertionError, match=r"\[oslo_limit\] auth_type is not set"):
        start_daemon({"DEFAULT": {"use_keystone_limits": True}})


def test_many_that_come_at_once_ask_keystone_once(
    start_daemon: StartDaemon, sick: SickKeystone
) -> None:
    daemon = start_daemon(
        {
            "DEFAULT": {
                "use_keystone_limits": True,
                "keystone_limits_cache_time": 60,
                "workers": 1,
            },
            "oslo_limit": sick.options() | {"timeout": 30},
        }
    )
    everybody = threading.Barrier(20)
    answers: list[int] = []

    def ask() -> None:
        project = Project(daemon, "a project")
        everybody.wait(30)
        answers.append(project.upload(str(uuid.uuid4()), 1).status_code)

    callers = [threading.Thread(target=ask) for _ in range(20)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)

    assert answers == [404] * 20
    assert sick.asked["/v3/limits"] == 1
    assert sick.asked["/v3/auth/tokens"] == 1
