"""What an outside listener hears of what the daemon does (contract operations.md §4)."""

import datetime
import http.client
import json
import uuid

import pytest

from tests import people
from tests.conftest import daemons
from tests.hammer import calls
from tests.notifications.conftest import publishing
from tests.notifications.listener import listening

UPLOAD = ["image.update", "image.prepare", "image.upload", "image.activate"]
OCTETS = {"Content-Type": "application/octet-stream"}


def request(daemon, method, path, body=None, who="owner", **headers):
    return calls.call(daemon.url, method, path, body, headers, who=who).status


@pytest.fixture(scope="module")
def listener():
    """One for all tests here, which hear everything that they cause."""
    with listening() as made:
        yield made


@pytest.fixture(scope="module")
def daemon(listener, tmp_path_factory):
    options = {"DEFAULT": {"image_size_cap": 100_000}}
    with daemons(tmp_path_factory.mktemp("events")) as start:
        yield start(publishing(listener, options))


@pytest.fixture
def image(daemon, listener):
    made = calls.create(daemon.url)
    assert listener.names(1) == ["image.create"]
    return made


def test_the_life_of_an_image_over_several_workers(start_publisher, listener):
    daemon = start_publisher({"DEFAULT": {"workers": 3}}, database="postgresql")

    image = calls.create(daemon.url, name="first")
    assert listener.names(1) == ["image.create"]

    change = [{"op": "replace", "path": "/name", "value": "second"}]
    assert request(daemon, "PATCH", image, change) == 200
    [heard] = listener.take(1)
    assert (heard.said, heard.payload["name"]) == ("image.update", "second")

    assert calls.put(daemon.url, image, b"12345") == 204
    upload = listener.take(5)
    assert [heard.said for heard in upload] == [*UPLOAD, "image.update"]
    assert [heard.payload["status"] for heard in upload] == [
        "saving", "saving", "active", "active", "active"
    ]  # fmt: skip
    assert [heard.payload["size"] for heard in upload] == [None, None, 5, 5, 5]
    for heard in upload[1:3]:
        assert heard.payload["os_glance_importing_to_stores"] == []
        assert heard.payload["os_glance_failed_import"] == []

    assert calls.download(daemon.url, image) == b"12345"
    [heard] = listener.take(1)
    project = calls.PROJECTS["owner"]
    assert (heard.said, heard.payload) == (
        "image.send",
        {
            "bytes_sent": 5,
            "image_id": calls.name(image),
            "owner_id": project,
            "receiver_tenant_id": project,
            "receiver_user_id": f"user-of-{project}",
        },
    )

    partner = calls.PROJECTS["partner"]
    members = f"{image}/members"
    row = f"{members}/{partner}"
    assert request(daemon, "POST", members, {"member": partner}) == 200
    [shared] = listener.take(1)
    assert request(daemon, "PUT", row, {"status": "accepted"}, "partner") == 200
    [accepted] = listener.take(1)
    assert request(daemon, "DELETE", row) == 204
    [withdrawn] = listener.take(1)
    told = [
        (heard.said, heard.payload["status"], heard.payload["deleted"])
        for heard in (shared, accepted, withdrawn)
    ]
    assert told == [
        ("image.member.create", "pending", False),
        ("image.member.update", "accepted", False),
        ("image.member.delete", "accepted", True),
    ]

    for method, tag in (("PUT", "t"), ("PUT", "t"), ("DELETE", "t")):
        assert request(daemon, method, f"{image}/tags/{tag}") == 204
    assert [heard.payload["tags"] for heard in listener.take(3)] == [["t"], ["t"], []]

    for action in ("deactivate", "deactivate", "reactivate", "reactivate"):
        path = f"{image}/actions/{action}"
        assert request(daemon, "POST", path, b"", "admin") == 204
    statuses = [heard.payload["status"] for heard in listener.take(2)]
    assert sorted(statuses) == ["active", "deactivated"]

    assert request(daemon, "DELETE", image) == 204
    [heard] = listener.take(1)
    assert heard.said == "image.delete"
    assert (heard.payload["status"], heard.payload["deleted"]) == ("deleted", True)
    assert is_time(heard.payload["deleted_at"])
    assert listener.rest() == []


def test_the_message_is_what_listeners_expect(daemon, listener):
    attributes = {
        "name": "é",
        "min_disk": 3,
        "visibility": "private",
        "tags": ["t"],
        "os_distro": "debian",
    }
    image = calls.create(daemon.url, **attributes)
    [heard] = listener.take(1)

    assert heard.routing_key == f"{listener.topic}.info"
    assert heard.envelope["oslo.version"] == "2.0"
    message = {k: v for k, v in heard.message.items() if not k.startswith("_")}
    payload = message.pop("payload")
    assert uuid.UUID(message.pop("message_id"))
    form = "%Y-%m-%d %H:%M:%S.%f"
    sent = datetime.datetime.strptime(message.pop("timestamp"), form)  # noqa: DTZ007
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    assert abs(now - sent) < datetime.timedelta(minutes=1)
    assert message == {
        "publisher_id": "image.localhost",
        "event_type": "image.create",
        "priority": "INFO",
    }
    assert not [name for name in heard.message if name.startswith("_context")]
    assert is_time(payload.pop("created_at"))
    assert is_time(payload.pop("updated_at"))
    assert payload == {
        "id": calls.name(image),
        "name": "é",
        "status": "queued",
        "min_disk": 3,
        "min_ram": 0,
        "protected": False,
        "os_hidden": False,
        "checksum": None,
        "os_hash_algo": None,
        "os_hash_value": None,
        "owner": calls.PROJECTS["owner"],
        "disk_format": "raw",
        "container_format": "bare",
        "size": None,
        "virtual_size": None,
        "visibility": "private",
        "is_public": False,
        "properties": {"os_distro": "debian"},
        "tags": ["t"],
        "deleted": False,
        "deleted_at": None,
    }


def is_time(text):
    """Whether it is a time as the API writes it (contract images.md §1.3)."""
    return bool(datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))  # noqa: DTZ007


def failed(listener):
    """Hear the four events of an upload that failed; return what was said of it."""
    heard = listener.take(4)
    assert [one.said for one in heard] == [
        "image.update",
        "image.prepare",
        "image.upload ERROR",
        "image.update",
    ]
    assert [one.payload["status"] for one in (heard[0], heard[1], heard[3])] == [
        "saving", "saving", "queued"
    ]  # fmt: skip
    assert heard[2].routing_key == f"{listener.topic}.error"
    assert isinstance(heard[2].payload, str)
    return heard[2].payload


def test_content_of_another_format_is_a_failed_upload(daemon, listener):
    image = calls.create(daemon.url, disk_format="qcow2")
    assert listener.names(1) == ["image.create"]

    assert calls.put(daemon.url, image, b"no qcow2" * 100) == 415

    assert calls.name(image) in failed(listener)
    assert listener.rest() == []


def test_a_stream_that_grows_too_large_is_a_failed_upload(daemon, listener, image):
    upload = calls.Upload(daemon.url, image, None)
    upload.send(b"x" * 150_000)
    assert upload.end() == 413

    failed(listener)
    assert listener.rest() == []


def test_a_store_without_room_is_a_failed_upload(start_publisher, listener):
    daemon = start_publisher({"DEFAULT": {"image_size_cap": 2**62}})
    image = calls.create(daemon.url)
    assert listener.names(1) == ["image.create"]
    told = OCTETS | {"x-openstack-image-size": str(2**60)}

    assert request(daemon, "PUT", f"{image}/file", b"12345", **told) == 413

    assert "not enough room" in failed(listener)
    assert listener.rest() == []


def test_a_client_that_goes_away_is_a_failed_upload(daemon, listener, image):
    upload = calls.Upload(daemon.url, image, 100)
    upload.send(b"x" * 50)
    upload.close()

    failed(listener)
    assert listener.rest() == []


def test_a_download_that_is_cut_off_is_an_error(start_publisher, listener):
    daemon = start_publisher()
    image = calls.create(daemon.url)
    size = 64 * 2**20
    assert calls.put(daemon.url, image, bytes(size)) == 204
    listener.take(6)

    host, port = calls.address(daemon.url)
    connection = http.client.HTTPConnection(host, port)
    headers = people.headers("owner", calls.PROJECTS)
    connection.request("GET", f"{image}/file", headers=headers)
    connection.getresponse().read(1000)
    connection.close()

    heard = listener.take(1)[0]
    assert heard.said == "image.send ERROR"
    assert heard.payload["bytes_sent"] < size


def test_what_is_refused_is_not_told_as_done(daemon, listener, image):
    missing = f"/v2/images/{uuid.uuid4()}"
    rename = [{"op": "replace", "path": "/name", "value": "x"}]

    assert request(daemon, "GET", "/v2/images") == 200
    assert request(daemon, "GET", image) == 200
    assert request(daemon, "PATCH", image, []) == 200
    assert request(daemon, "GET", f"{image}/file") == 204
    assert request(daemon, "PATCH", image, rename, "stranger") == 404
    assert request(daemon, "PATCH", missing, rename) == 404
    assert request(daemon, "DELETE", missing) == 404
    assert request(daemon, "DELETE", image, None, "stranger") == 404
    assert request(daemon, "POST", f"{image}/actions/deactivate", b"", "owner") == 403
    assert request(daemon, "POST", f"{image}/members", {"member": ""}) == 400
    assert request(daemon, "DELETE", f"{image}/tags/none") == 404
    same = json.dumps({"id": calls.name(image)}).encode()
    kind = {"Content-Type": "application/json"}
    assert request(daemon, "POST", "/v2/images", same, **kind) == 409
    assert request(daemon, "PUT", f"{image}/file", b"x" * 200_000, **OCTETS) == 413
    assert listener.rest() == []

    assert calls.put(daemon.url, image, b"12345") == 204
    assert listener.names(5) == [*UPLOAD, "image.update"]
    assert calls.put(daemon.url, image, b"12345") == 409
    assert listener.rest() == []


def test_silenced_events_are_not_published_and_the_old_format_has_no_envelope(
    start_publisher, listener
):
    daemon = start_publisher(
        {
            "DEFAULT": {
                "disabled_notifications": "image.member, image.prepare",
                "default_publisher_id": "image.here",
            },
            "oslo_messaging_notifications": {"driver": "messaging"},
        }
    )
    image = calls.create(daemon.url)
    calls.put(daemon.url, image, b"12345")
    partner = {"member": calls.PROJECTS["partner"]}
    assert request(daemon, "POST", f"{image}/members", partner) == 200

    heard = listener.take(5)
    assert [one.said for one in heard] == [
        "image.create",
        "image.update",
        "image.upload",
        "image.activate",
        "image.update",
    ]
    assert {one.message["publisher_id"] for one in heard} == {"image.here"}
    assert not any(one.envelope for one in heard)
    assert listener.rest() == []
