"""CADF events of a running service: who, what, which outcome, and no secrets."""

import json
import os
import uuid
from pathlib import Path
from typing import Any

import httpx
import kombu
import pytest

from tests import databases, people
from tests.conftest import StartDaemon
from tests.filters import pipelines, transfers
from tests.filters.conftest import Serve
from tests.hammer.calls import until

TOKEN = "gAAAA-a-secret-token-of-somebody-ZZZZ"  # noqa: S105
ME = {
    **people.headers("owner", {"owner": "project-1"}),
    "X-User-Name": "alice",
    "X-Auth-Token": TOKEN,
    "X-Forwarded-For": "203.0.113.66",
}
AUDIT = {"audit": "context"}
BROKER = os.environ.get(
    "IMAGESERVICE_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//"
)


def a_daemon(start: StartDaemon, folder: Path, **options: object) -> Any:
    """A daemon whose events go to its log; with the filter as it is shipped."""
    paste = pipelines.write(folder / "audited-paste.ini", before=AUDIT)
    return start({"paste_deploy": {"config_file": paste}, **options})  # type: ignore[dict-item]


def events(log: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for line in log.splitlines():
        _, mark, rest = line.partition("audit.http.")
        if mark:
            kind, _, document = rest.partition(" ")
            found.append((kind, json.loads(document)))
    return found


def test_events_say_who_did_what_with_which_outcome(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    daemon = a_daemon(start_daemon, tmp_path)
    images = f"{daemon.url}/v2/images"
    image = httpx.post(images, json={}, headers=ME).json()["id"]
    request = httpx.get(f"{images}/{image}", headers=ME)
    httpx.delete(f"{images}/{image}", headers=ME)
    httpx.get(f"{images}/{image}", headers=ME)
    until(lambda: len(events(daemon.log.read_text())) == 8, 10, "events are missing")
    log = daemon.log.read_text()

    found = events(log)
    answers = [event for kind, event in found if kind == "response"]

    assert [kind for kind, _ in found] == ["request", "response"] * 4
    assert [
        (e["action"], e["outcome"], e["reason"]["reasonCode"]) for e in answers
    ] == [
        ("create", "success", "201"),
        ("read", "success", "200"),
        ("delete", "success", "204"),
        ("read", "failure", "404"),
    ]
    shown = answers[1]
    assert shown["requestPath"] == f"/v2/images/{image}"
    assert shown["target"]["typeURI"] == "service/storage/image/images/image"
    initiator = shown["initiator"]
    assert initiator["id"] == ME["X-User-Id"]
    assert initiator["name"] == "alice"
    assert initiator["project_id"] == "project-1"
    assert initiator["request_id"] == request.headers["x-openstack-request-id"]
    assert initiator["host"]["address"] == "127.0.0.1"
    assert TOKEN[:3] not in log
    assert TOKEN[-3:] not in log


def test_who_is_refused_is_audited_too(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    daemon = a_daemon(start_daemon, tmp_path)

    httpx.get(f"{daemon.url}/v2/images")
    until(lambda: len(events(daemon.log.read_text())) == 2, 10, "events are missing")

    [_, (_, answer)] = events(daemon.log.read_text())
    assert answer["action"] == "read/list"
    assert answer["outcome"] == "failure"
    assert answer["reason"]["reasonCode"] == "401"
    assert answer["initiator"]["id"] == "unknown"


def test_data_streams_through(serve: Serve) -> None:
    url = serve(AUDIT)
    assert transfers.round_trip(url, ME)


def test_with_a_broker_they_go_where_all_events_go(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    topic = f"audit-{uuid.uuid4().hex[:8]}"
    try:
        connection = kombu.Connection(BROKER, connect_timeout=5).ensure_connection(
            max_retries=1
        )
    except OSError as error:
        databases.missing(f"RabbitMQ does not answer: {error}")
    exchange = kombu.Exchange("glance", "topic", durable=False, passive=False)
    queue = kombu.Queue(
        f"{topic}.info", exchange, routing_key=f"{topic}.info", durable=False,
        auto_delete=False,
    )  # fmt: skip
    told: list[dict[str, Any]] = []

    def listen(body: Any, message: kombu.Message) -> None:
        document = body if isinstance(body, dict) else json.loads(body)
        if "oslo.message" in document:
            document = json.loads(document["oslo.message"])
        told.append(document)
        message.ack()

    with connection, connection.Consumer(queue, callbacks=[listen]):
        daemon = a_daemon(
            start_daemon,
            tmp_path,
            oslo_messaging_notifications={
                "driver": "messagingv2",
                "transport_url": BROKER.replace("amqp", "rabbit", 1).removesuffix("/"),
                "topics": topic,
            },
        )
        httpx.get(f"{daemon.url}/v2/images", headers=ME)

        def both() -> bool:
            try:
                connection.drain_events(timeout=0.5)
            except TimeoutError:
                return False
            return len(told) >= 2

        until(both, 20, "the broker brought no events")
        queue(connection).delete()

    assert [event["event_type"] for event in told] == [
        "audit.http.request",
        "audit.http.response",
    ]
    assert told[1]["payload"]["initiator"]["id"] == ME["X-User-Id"]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"audit_map_file": "/nonexistent"}, "audit_map_file: /nonexistent"),
        ({"audit_map": "x"}, "audit_map: there is no such option"),
    ],
)
def test_a_broken_section_ends_the_start(
    start_daemon: StartDaemon, tmp_path: Path, section: dict[str, str], said: str
) -> None:
    paste = pipelines.write(
        tmp_path / "p-paste.ini", before=AUDIT, sections={"filter:audit": section}
    )

    with pytest.raises(AssertionError, match=said):
        start_daemon({"paste_deploy": {"config_file": paste}})
