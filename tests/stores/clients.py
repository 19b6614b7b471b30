"""The clients that people download with, each as it is told to follow redirects."""

import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import glanceclient
import httpx
import openstack
import requests
from keystoneauth1 import session, token_endpoint

from tests.databases import missing
from tests.hammer import calls

Headers = Mapping[str, str]

Client = Callable[[str, str, Headers], bytes]
"""Gets the data of an image, of a service's URL and the image's path in it."""


def curl(url: str, image: str, headers: Headers) -> bytes:
    options = [f"-H{name}: {value}" for name, value in headers.items()]
    return run(
        "curl", "--silent", "--fail", "--location", *options, f"{url}{image}/file"
    )


def wget(url: str, image: str, headers: Headers) -> bytes:
    options = [f"--header={name}: {value}" for name, value in headers.items()]
    return run("wget", "--quiet", "--output-document=-", *options, f"{url}{image}/file")


def run(*command: str) -> bytes:
    if shutil.which(command[0]) is None:
        missing(f"{command[0]} is not installed")
    return subprocess.run(command, capture_output=True, check=True).stdout


def by_urllib(url: str, image: str, headers: Headers) -> bytes:
    request = urllib.request.Request(f"{url}{image}/file", headers=dict(headers))
    with urllib.request.urlopen(request) as answer:
        found: bytes = answer.read()
    return found


def by_requests(url: str, image: str, headers: Headers) -> bytes:
    answer = requests.get(
        f"{url}{image}/file", headers=headers, timeout=calls.TIMEOUT_S
    )
    answer.raise_for_status()
    return answer.content


def by_httpx(url: str, image: str, headers: Headers) -> bytes:
    answer = httpx.get(f"{url}{image}/file", headers=headers, follow_redirects=True)
    return answer.raise_for_status().content


def sdk(url: str, image: str, headers: Headers) -> bytes:
    connection: Any = openstack.connect(auth_type="none", endpoint=url)
    connection.session.additional_headers = dict(headers)
    found: bytes = connection.image.download_image(calls.name(image)).content
    return found


def glanceclient_alone(url: str, image: str, headers: Headers) -> bytes:
    client: Any = glanceclient.Client(
        "2", endpoint=url, token="unused", identity_headers=dict(headers)
    )
    return data_by(client, image)


def glanceclient_of_a_session(url: str, image: str, headers: Headers) -> bytes:
    auth = token_endpoint.Token(url, "unused")
    shared: Any = session.Session(auth, additional_headers=dict(headers))
    return data_by(glanceclient.Client("2", session=shared), image)


def data_by(client: Any, image: str) -> bytes:
    """It compares the hash while it reads."""
    return b"".join(client.images.data(calls.name(image)))


RANGED: list[Client] = [curl, by_urllib, by_requests, by_httpx]
"""Those that take a Range, as a header."""

WHOLE: list[Client] = [wget, sdk, glanceclient_alone, glanceclient_of_a_session]
