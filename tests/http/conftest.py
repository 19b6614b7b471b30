"""Servers, and one story at a time told to one of them."""

from collections.abc import Iterator

import httpx
import pytest
from gabbi import httpclient

from tests import people
from tests.http import locations
from tests.http.servers import ELSEWHERE, Servers
from tests.outbound import servers as web


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture(scope="session")
def client() -> Iterator[httpclient.Http]:
    """One HTTP client that adds nothing of its own to a request."""
    client = httpclient.Http(cert_validate=False)
    client.client.headers.clear()
    if ELSEWHERE:  # some servers reset a connection whose request body they left unread
        client.client.headers["Connection"] = "close"
    yield client
    client.client.close()


@pytest.fixture(scope="module")
def told(
    request: pytest.FixtureRequest, servers: Servers, client: httpclient.Http
) -> Iterator[None]:
    """A story and the server that listens; in the end its images are taken away."""
    kind, story = request.param
    url = servers.url(kind, story.setting)
    story.tell_to(url, client)
    yield
    _clean(client.client, url, story.projects)


@pytest.fixture(scope="session")
def located(tmp_path_factory: pytest.TempPathFactory) -> Iterator[locations.Service]:
    with locations.Service(tmp_path_factory.mktemp("locations")).running() as service:
        yield service


@pytest.fixture
def service(located: locations.Service) -> Iterator[locations.Service]:
    """A daemon that reads what lies on this machine's web servers, with nothing to do."""
    yield located
    located.wait_for_leases()


@pytest.fixture
def server() -> Iterator[web.Server]:
    """A web server with two copies of an image, and another one."""
    with web.running() as server:
        for path in ("/disk", "/copy"):
            server.paths[path] = web.ranged(locations.DATA)
        server.paths["/other"] = web.ranged(locations.OTHER)
        yield server


def _clean(client: httpx.Client, url: str, projects: dict[str, str]) -> None:
    """Delete what the story's projects have left, so that no list shows it later."""
    admin = people.headers("admin", projects)
    patch = {
        **admin,
        "Content-Type": "application/openstack-images-v2.1-json-patch",
    }
    unprotect = [{"op": "replace", "path": "/protected", "value": False}]
    for owner in projects.values():
        for hidden in ("false", "true"):
            query = {
                "owner": owner,
                "visibility": "all",
                "os_hidden": hidden,
                "limit": "1000",
            }
            page = client.get(f"{url}/v2/images", params=query, headers=admin)
            for image in page.json()["images"] if page.status_code == 200 else ():
                target = f"{url}/v2/images/{image['id']}"
                if image["protected"]:
                    client.patch(target, json=unprotect, headers=patch)
                client.delete(target, headers=admin)
