"""Published clients register locations, list them and let them go."""

import glanceclient
import keystoneauth1.session
import openstack
import pytest
from keystoneauth1 import noauth

from tests import people
from tests.http.locations import DATA, PROJECTS, sha


@pytest.fixture
def session(service):
    return keystoneauth1.session.Session(
        noauth.NoAuth(endpoint=service.daemon.url),
        additional_headers=people.headers("admin", PROJECTS),
    )


def test_openstacksdk_registers_and_lists(service, server, session):
    cloud = openstack.connect(auth_type="none", endpoint=service.daemon.url)
    cloud.session.additional_headers = session.additional_headers
    image = service.image()
    image_id = image.rsplit("/", 1)[1]

    cloud.image.add_image_location(image_id, server.url("/disk"))

    service.wait(image, status="active")
    (found,) = cloud.image.image_locations(image_id)
    assert found.url == server.url("/disk")


def test_glanceclient_registers_adds_updates_and_removes(service, server, session):
    client = glanceclient.Client("2", session=session)
    image = service.image()
    image_id = image.rsplit("/", 1)[1]

    client.images.add_image_location(image_id, server.url("/disk"), {})
    service.wait(image, status="active", os_hash_value=sha(DATA))
    client.images.add_location(image_id, server.url("/copy"), {"rack": "7"})
    client.images.update_location(image_id, server.url("/copy"), {"rack": "8"})
    found = client.images.get_image_locations(image_id)
    service.wait_for_leases()
    client.images.delete_locations(image_id, {server.url("/disk")})

    assert [(at["url"], at["metadata"].get("rack")) for at in found] == [
        (server.url("/disk"), None),
        (server.url("/copy"), "8"),
    ]
    (left,) = service.show(image)["locations"]
    assert left["url"] == server.url("/copy")
