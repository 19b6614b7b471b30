"""Compressed answers, as clients read them."""

import shutil
import subprocess
import uuid

import glanceclient
import httpx
import openstack
import pytest
from keystoneauth1 import session, token_endpoint

from tests import databases, people
from tests.filters.conftest import Serve

ME = people.headers("owner", {"owner": "p1"})


@pytest.fixture
def url(serve: Serve) -> str:
    """A service that compresses, with ten images of half a kilobyte."""
    url = serve({"gzip": "cors"})
    for number in range(10):
        image = {"name": f"image {number}", "tags": [f"{uuid.uuid4()}" * 4]}
        made = httpx.post(f"{url}/v2/images", json=image, headers=ME)
        assert made.status_code == 201
    return url


def test_a_list_is_compressed_and_an_image_too_short_for_it_is_not(url: str) -> None:
    listed = httpx.get(f"{url}/v2/images", headers=ME)
    one = listed.json()["images"][0]["id"]
    shown = httpx.get(f"{url}/v2/images/{one}", headers=ME)

    assert listed.headers["Content-Encoding"] == "gzip"
    assert listed.headers["Vary"] == "Accept-Encoding"
    assert int(listed.headers["Content-Length"]) < len(listed.content) / 2
    assert len(listed.json()["images"]) == 10
    assert "Content-Encoding" not in shown.headers


def test_who_forbids_it_gets_the_plain_text(url: str) -> None:
    forbids = {**ME, "Accept-Encoding": "gzip;q=0, *"}

    listed = httpx.get(f"{url}/v2/images", headers=forbids)

    assert "Content-Encoding" not in listed.headers
    assert len(listed.json()["images"]) == 10


def test_image_data_that_looks_like_json_goes_as_it_is(url: str) -> None:
    image = {"disk_format": "raw", "container_format": "bare"}
    made = httpx.post(f"{url}/v2/images", json=image, headers=ME).json()
    data = b'{"a": 1}' * 1000
    file = f"{url}{made['file']}"
    octets = {**ME, "Content-Type": "application/octet-stream"}
    assert httpx.put(file, content=data, headers=octets).status_code == 204

    whole = httpx.get(file, headers=ME)
    part = httpx.get(file, headers={**ME, "Range": "bytes=8-15"})

    assert (whole.content, part.content) == (data, b'{"a": 1}')
    for answer in (whole, part):
        assert "Content-Encoding" not in answer.headers
        assert "Content-MD5" in answer.headers
        assert not answer.headers["ETag"].startswith("W/")


def test_glanceclient_and_openstacksdk_read_it(url: str) -> None:
    plugin = token_endpoint.Token(url, "token")
    signed = session.Session(auth=plugin, additional_headers=dict(ME))
    glance = glanceclient.Client("2", session=signed, endpoint_override=url)
    sdk = openstack.connection.Connection(
        session=signed, image_endpoint_override=url, image_api_version="2"
    )

    assert len(list(glance.images.list())) == 10
    assert len(list(sdk.image.images())) == 10


def test_curl_reads_it(url: str) -> None:
    curl = shutil.which("curl")
    if curl is None:
        databases.missing("curl is not installed")
    headers = [text for name in ME for text in ("-H", f"{name}: {ME[name]}")]
    command = [curl, "-sS", "--compressed", "-D-", *headers, f"{url}/v2/images"]

    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "Content-Encoding: gzip" in said
    assert said.count('"id"') == 10
