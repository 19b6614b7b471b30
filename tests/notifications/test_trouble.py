"""Brokers that are away, hang, refuse: requests notice nothing, the log tells."""

import os
import re
import signal
import statistics
import subprocess
import sys
import time

import pytest

from tests import databases
from tests.daemon import configure
from tests.hammer import calls
from tests.notifications.conftest import publishing, url

# A daemon, or more, for nearly every test, and waits that are meant.
pytestmark = pytest.mark.slow

CREATES = 30
SLOW_S = 1.0
"""More than any request here takes, less than any time-out of a broker."""

#: A connection that hangs is given up after this many seconds instead of 60.
IMPATIENT = {"oslo_messaging_rabbit": {"heartbeat_timeout_threshold": 3}}


@pytest.fixture
def listener(listener):
    """One that knows that what a broken connection has left unconfirmed comes again."""
    listener.ignores_repeats = True
    return listener


def create(daemon, count=CREATES, first=0):
    """Make images one after the other; return the median and the longest time."""
    took = []
    for number in range(first, first + count):
        begun = time.monotonic()
        calls.create(daemon.url, name=f"image-{number}")
        took.append(time.monotonic() - begun)
    return statistics.median(took), max(took)


def names(listener, count):
    return [heard.payload["name"] for heard in listener.take(count)]


def expected(count, first=0):
    return [f"image-{number}" for number in range(first, first + count)]


def test_a_broker_that_hangs_holds_up_no_request(start_publisher, listener, proxy):
    daemon = start_publisher(IMPATIENT, through=proxy)
    create(daemon, 1)
    assert names(listener, 1) == expected(1)
    proxy.freeze()

    median, longest = create(daemon, first=1)

    assert longest < SLOW_S, (median, longest)
    proxy.thaw()
    assert names(listener, CREATES) == expected(CREATES, first=1)


def test_a_broker_that_never_answers_holds_up_no_request(
    start_publisher, listener, proxy
):
    proxy.freeze()
    daemon = start_publisher(through=proxy)

    median, longest = create(daemon)

    assert longest < SLOW_S, (median, longest)
    proxy.thaw()
    assert names(listener, CREATES) == expected(CREATES)


def test_a_broker_that_restarts_gets_what_happened_meanwhile(
    start_publisher, listener, proxy
):
    daemon = start_publisher(through=proxy)
    create(daemon, 1)
    proxy.cut()

    _, longest = create(daemon, first=1)

    assert longest < SLOW_S
    proxy.mend()
    assert names(listener, CREATES + 1) == expected(CREATES + 1)
    log = daemon.log.read_text()
    assert log.count("events wait for the broker") == 1
    assert "the broker takes events again" in log


def test_a_connection_that_hangs_is_replaced(start_publisher, listener, proxy):
    daemon = start_publisher(IMPATIENT, through=proxy)
    create(daemon, 1)
    listener.take(1)
    proxy.freeze()
    create(daemon, 3, first=1)
    calls.until(
        lambda: "events wait for the broker" in daemon.log.read_text(),
        30,
        "nobody has noticed that the connection hangs",
    )
    proxy.cut()
    proxy.thaw()
    proxy.mend()

    assert names(listener, 3) == expected(3, first=1)


def test_what_does_not_fit_is_dropped_counted_and_logged(
    start_publisher, listener, proxy
):
    proxy.cut()
    daemon = start_publisher({"DEFAULT": {"notification_queue_size": 5}}, through=proxy)
    create(daemon)
    proxy.mend()

    # One of the first is held by the sender, the rest are the last.
    heard = names(listener, 6)
    assert heard[1:] == expected(5, first=CREATES - 5)
    assert daemon.stop() == 0
    assert re.search(
        r"events were dropped \(image\.create \d+\), 24 since the start",
        daemon.log.read_text(),
    )


@pytest.mark.parametrize(
    ("is_cut", "logged"), [(False, "ACCESS_REFUSED"), (True, "ECONNREFUSED")]
)
def test_a_broker_that_refuses_is_logged_without_the_password(
    start_publisher, proxy, is_cut, logged
):
    if is_cut:
        proxy.cut()
    login = url(proxy, password="s3cret")  # noqa: S106 - wrong on purpose
    daemon = start_publisher(
        {
            "DEFAULT": {"debug": True},
            "oslo_messaging_notifications": {"transport_url": login},
        }
    )

    _, longest = create(daemon, 3)

    assert longest < SLOW_S
    calls.until(lambda: logged in daemon.log.read_text(), 10, "nothing was logged")
    assert daemon.stop() == 0
    assert "3 events are lost" in daemon.log.read_text()
    assert "s3cret" not in daemon.log.read_text()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP], ids=lambda by: by.name)
def test_workers_that_end_send_what_they_have(start_publisher, listener, by):
    daemon = start_publisher()

    create(daemon)
    daemon.process.send_signal(by)

    assert names(listener, CREATES) == expected(CREATES)
    if by is signal.SIGHUP:
        create(daemon, 1)
        listener.take(1)
    assert daemon.stop() == 0
    assert "lost" not in daemon.log.read_text()


def test_a_broker_that_hangs_keeps_no_worker_from_ending(
    start_publisher, listener, proxy
):
    daemon = start_publisher(through=proxy)
    create(daemon, 1)
    listener.take(1)
    proxy.freeze()
    create(daemon, 3, first=1)

    assert daemon.stop() == 0

    # The listener may have heard of the first before its confirmation was frozen.
    assert re.search("[34] events are lost", daemon.log.read_text())


def test_under_another_server_what_waits_is_sent_at_the_end(listener, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    with databases.ready("sqlite", tmp_path) as database:
        options = publishing(
            listener,
            {
                "DEFAULT": {"enabled_backends": "main:file"},
                "glance_store": {"default_backend": "main"},
                "main": {"filesystem_store_datadir": images},
                "database": {"connection": database},
            },
        )
        configure(tmp_path, options)
        environment = os.environ | {"IMAGESERVICE_CONFIG_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", ONE_REQUEST], env=environment, check=True)

    assert listener.names(1) == ["image.create"]


ONE_REQUEST = """
import io
from wsgiref.util import setup_testing_defaults
from imageservice.wsgi import application
environ = {
    "REQUEST_METHOD": "POST", "PATH_INFO": "/v2/images", "CONTENT_LENGTH": "2",
    "CONTENT_TYPE": "application/json", "wsgi.input": io.BytesIO(b"{}"),
    "HTTP_X_IDENTITY_STATUS": "Confirmed", "HTTP_X_PROJECT_ID": "p",
    "HTTP_X_USER_ID": "u", "HTTP_X_ROLES": "member,reader",
}
setup_testing_defaults(environ)
statuses = []
b"".join(application(environ, lambda status, headers, *more: statuses.append(status)))
assert statuses == ["201 Created"], statuses
"""
