"""openstacksdk and python-glanceclient, unchanged, as a program would use them."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import glanceclient
import openstack
import pytest
from glanceclient import exc
from openstack import exceptions

from tests import people
from tests.conftest import StartDaemon
from tests.daemon import Daemon

PROJECTS = {who.project: f"p-{who.project}" for who in people.PEOPLE.values()}


@pytest.fixture
def sdk(daemon: Daemon) -> Any:
    return openstack.connect(auth_type="none", endpoint=daemon.url).image


@pytest.fixture
def client(daemon: Daemon) -> Any:
    return glanceclient.Client("2", endpoint=daemon.url, token="unused")


def _as_person(daemon: Daemon, who: str) -> Any:
    """Return the SDK's image service with identity headers, as of a gateway."""
    connection = openstack.connect(auth_type="none", endpoint=daemon.url)
    connection.session.additional_headers = people.headers(who, PROJECTS)
    return connection.image


def sha512(data: bytes) -> str:
    return hashlib.sha512(data).hexdigest()


def test_the_sdk_takes_an_image_through_its_life(sdk: Any, qcow2_disk: Path) -> None:
    image = sdk.create_image(
        "sdk-life",
        filename=str(qcow2_disk),
        disk_format="qcow2",
        container_format="bare",
        tags=["linux"],
        hw_disk_bus="virtio",
    )

    found = sdk.get_image(image.id)

    assert (found.status, found.size) == ("active", qcow2_disk.stat().st_size)
    assert found.hash_value == sha512(qcow2_disk.read_bytes())
    assert found.hw_disk_bus == "virtio"
    assert [i.id for i in sdk.images(name="sdk-life", tag="linux")] == [image.id]
    sdk.update_image(found, name="sdk-renamed", min_ram=64, os_distro="debian")
    sdk.add_tag(found, "stable")
    sdk.remove_tag(found, "linux")
    again = sdk.find_image("sdk-renamed")
    assert (again.min_ram, again.os_distro, again.tags) == (64, "debian", ["stable"])
    data = sdk.download_image(again).content
    assert sha512(data) == found.hash_value
    sdk.deactivate_image(again)
    assert sdk.get_image(again).status == "deactivated"
    sdk.reactivate_image(again)
    sdk.delete_image(again)
    with pytest.raises(exceptions.NotFoundException):
        sdk.get_image(again.id)


def test_the_sdk_finds_an_image_that_it_has_uploaded_before(
    sdk: Any, raw_disk: Path
) -> None:
    """It compares checksums, so that nothing is uploaded twice."""
    attributes = {
        "filename": str(raw_disk),
        "disk_format": "raw",
        "container_format": "bare",
        "validate_checksum": True,
    }
    first = sdk.create_image("sdk-twice", **attributes)

    second = sdk.create_image("sdk-twice", **attributes)

    assert first.id == second.id
    sdk.delete_image(first)


def test_the_sdk_follows_pages(sdk: Any) -> None:
    made = [sdk.create_image("sdk-page", allow_duplicates=True).id for _ in range(7)]

    listed = [image.id for image in sdk.images(name="sdk-page", limit=3)]

    assert sorted(listed) == sorted(made)
    for image in made:
        sdk.delete_image(image)


def test_the_sdk_explains_a_refusal(sdk: Any) -> None:
    with pytest.raises(exceptions.BadRequestException, match="sort"):
        list(sdk.images(sort_key="nonsense"))


def test_the_sdk_knows_schemas_and_the_methods_of_import(sdk: Any) -> None:
    images = sdk.get_images_schema().properties["images"]
    assert "disk_format" in images["items"]["properties"]
    assert sdk.get_import_info().import_methods["type"] == "array"


def test_the_sdk_knows_the_stores(start_daemon: StartDaemon) -> None:
    sdk = _as_person(start_daemon(), "admin")

    assert [(s.id, s.is_default) for s in sdk.stores()] == [("main", True)]
    assert [s.properties for s in sdk.stores(details=True)]


def test_two_projects_share_an_image_with_the_sdk(
    start_daemon: StartDaemon, raw_disk: Path
) -> None:
    daemon = start_daemon()
    owner = _as_person(daemon, "owner")
    partner = _as_person(daemon, "partner")
    stranger = _as_person(daemon, "stranger")
    image = owner.create_image(
        "shared", filename=str(raw_disk), disk_format="raw", container_format="bare"
    )

    owner.add_member(image, member_id=PROJECTS["partner"])

    assert not list(partner.images(name="shared"))
    pending = list(partner.images(name="shared", member_status="pending"))
    assert [found.id for found in pending] == [image.id]
    partner.update_member(PROJECTS["partner"], image, status="accepted")
    assert [found.id for found in partner.images(name="shared")] == [image.id]
    assert partner.download_image(image.id).content == raw_disk.read_bytes()
    assert [m.member_id for m in owner.members(image)] == [PROJECTS["partner"]]
    with pytest.raises(exceptions.ForbiddenException):
        partner.delete_image(image.id)
    with pytest.raises(exceptions.NotFoundException):
        stranger.get_image(image.id)
    owner.remove_member(PROJECTS["partner"], image)
    with pytest.raises(exceptions.NotFoundException):
        partner.get_image(image.id)


def test_glanceclient_takes_an_image_through_its_life(
    client: Any, raw_disk: Path
) -> None:
    data = raw_disk.read_bytes()
    image = client.images.create(
        name="lib-life",
        disk_format="raw",
        container_format="bare",
        tags=["linux"],
        os_distro="debian",
    )

    client.images.upload(image.id, io.BytesIO(data), image_size=len(data))

    found = client.images.get(image.id)
    assert (found.status, found.size) == ("active", len(data))
    assert found.os_hash_value == sha512(data)
    filters = {"name": "lib-life", "tag": ["linux"], "os_distro": "debian"}
    assert [i.id for i in client.images.list(filters=filters)] == [image.id]
    client.images.update(image.id, remove_props=["os_distro"], name="lib-renamed")
    changed = client.images.get(image.id)
    assert changed.name == "lib-renamed"
    assert "os_distro" not in changed
    client.image_tags.update(image.id, "stable")
    client.image_tags.delete(image.id, "linux")
    assert client.images.get(image.id).tags == ["stable"]
    # glanceclient itself compares the hash while it reads.
    assert b"".join(client.images.data(image.id)) == data
    client.images.delete(image.id)
    with pytest.raises(exc.HTTPNotFound):
        client.images.get(image.id)


def test_glanceclient_gets_no_data_from_a_queued_image(client: Any) -> None:
    image = client.images.create(name="lib-queued")

    data = client.images.data(image.id)

    assert data.wrapped is None
    client.images.delete(image.id)


def test_glanceclient_follows_pages(client: Any) -> None:
    made = [client.images.create(name="lib-page").id for _ in range(7)]

    listed = client.images.list(filters={"name": "lib-page"}, page_size=3)

    assert sorted(image.id for image in listed) == sorted(made)
    for image in made:
        client.images.delete(image)


refusals: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "malformed": (
        lambda c: list(c.images.list(filters={"created_at": "gt:nonsense"})),
        exc.HTTPBadRequest,
    ),
    "missing": (
        lambda c: c.images.get("00000000-0000-4000-8000-000000000000"),
        exc.HTTPNotFound,
    ),
    "conflicting": (lambda c: _upload_twice(c), exc.HTTPConflict),
    "protected": (lambda c: _delete_protected(c), exc.HTTPForbidden),
}


@pytest.mark.parametrize("refusal", refusals)
def test_glanceclient_understands_a_refusal(client: Any, refusal: str) -> None:
    """It reads refusals as HTML; a flat JSON document would crash it."""
    ask, expected = refusals[refusal]

    with pytest.raises(expected):
        ask(client)


def _upload_twice(client: Any) -> None:
    image = client.images.create(disk_format="raw", container_format="bare")
    client.images.upload(image.id, io.BytesIO(b"data"))
    client.images.upload(image.id, io.BytesIO(b"data"))


def _delete_protected(client: Any) -> None:
    image = client.images.create(protected=True)
    client.images.delete(image.id)
