"""Signed images through the daemon, with Keystone, Barbican and the published client."""

import base64
import contextlib
import io
import os
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import glanceclient
import httpx
import openstack as openstacksdk
import pytest

from imageservice.domain.image import SIGNATURE_PROPERTIES as NAMES
from tests.conftest import StartDaemon
from tests.daemon import Daemon, command, free_port
from tests.identity.keystone import Keystone
from tests.keys.barbican import Barbican
from tests.signing import Signer

pytestmark = pytest.mark.slow

CONTENT = b"what was signed" * 100_000
CLIENT_S = 120


class Images:
    """The images of one caller."""

    def __init__(self, daemon: Daemon, token: str) -> None:
        self._daemon = daemon
        self._http = httpx.Client(
            base_url=f"{daemon.url}/v2",
            headers={"X-Auth-Token": token},
            timeout=60,
        )

    def queued(self, properties: dict[str, str]) -> str:
        wish = {"disk_format": "raw", "container_format": "bare", **properties}
        made = self._http.post("/images", json=wish)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def upload(self, image: str, content: bytes = CONTENT) -> httpx.Response:
        kind = {"Content-Type": "application/octet-stream"}
        return self._http.put(f"/images/{image}/file", content=content, headers=kind)

    def status(self, image: str) -> str:
        return str(self._http.get(f"/images/{image}").json()["status"])

    def data(self, image: str) -> httpx.Response:
        return self._http.get(f"/images/{image}/file")


@pytest.fixture
def images(daemon: Daemon, keystone: Keystone) -> Images:
    return Images(daemon, keystone.token("owner"))


def test_only_the_bytes_that_were_signed_are_taken(
    images: Images, signer: Signer, certificate: str
) -> None:
    image = images.queued(signer.properties(CONTENT, certificate))

    refused = images.upload(image, CONTENT + b"!")
    assert refused.status_code == 400
    assert "not what was signed" in refused.text
    assert images.status(image) == "queued"
    assert images.data(image).status_code == 204

    assert images.upload(image).status_code == 204
    assert images.status(image) == "active"
    assert images.data(image).content == CONTENT


def test_a_certificate_that_is_not_there_is_told_before_the_bytes(
    images: Images, daemon: Daemon, keystone: Keystone, signer: Signer
) -> None:
    image = images.queued(signer.properties(CONTENT, str(uuid.uuid4())))

    with socket.create_connection(("127.0.0.1", daemon.port), timeout=60) as peer:
        head = (
            f"PUT /v2/images/{image}/file HTTP/1.1",
            "Host: localhost",
            f"X-Auth-Token: {keystone.token('owner')}",
            "Content-Type: application/octet-stream",
            f"Content-Length: {10 * 2**30}",
            "Expect: 100-continue",
        )
        peer.sendall("\r\n".join([*head, "", ""]).encode())
        answer = peer.recv(65536)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert images.status(image) == "queued"


def test_the_certificate_of_another_project_is_not_readable(
    images: Images, barbican: Barbican, signer: Signer
) -> None:
    theirs = barbican.store("stranger", signer.pem)
    image = images.queued(signer.properties(CONTENT, theirs))

    refused = images.upload(image)

    assert refused.status_code == 400
    assert "may not be read with your token" in refused.text
    assert images.status(image) == "queued"


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        pytest.param("passphrase", b"secret", id="passphrase"),
        pytest.param("certificate", b"no PEM", id="not-PEM"),
    ],
)
def test_another_secret_is_no_certificate(
    images: Images, barbican: Barbican, signer: Signer, kind: str, payload: bytes
) -> None:
    secret = barbican.store("owner", payload, kind)
    image = images.queued(signer.properties(CONTENT, secret))

    refused = images.upload(image)

    assert refused.status_code == 400
    assert "is no" in refused.text


def test_an_application_credential_will_do_where_the_address_is_set(
    keystone: Keystone,
    barbican: Barbican,
    start_daemon: StartDaemon,
    signer: Signer,
    certificate: str,
) -> None:
    options = barbican.options(barbican_endpoint=barbican.url)
    daemon = start_daemon(keystone.options(options))
    images = Images(daemon, keystone.credential_token("owner"))
    image = images.queued(signer.properties(CONTENT, certificate))

    assert images.upload(image).status_code == 204


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("how", ["away", "silent"])
def test_a_key_manager_in_trouble_makes_it_503(
    keystone: Keystone,
    barbican: Barbican,
    start_daemon: StartDaemon,
    signer: Signer,
    certificate: str,
    silent: str,
    how: str,
) -> None:
    address = silent if how == "silent" else f"http://127.0.0.1:{free_port()}"
    options = {**barbican.options(barbican_endpoint=address)}
    options["image_signature"] = {"certificate_timeout": 3}
    daemon = start_daemon(keystone.options(options))
    images = Images(daemon, keystone.token("owner"))
    image = images.queued(signer.properties(CONTENT, certificate))

    before = time.monotonic()
    refused = images.upload(image)

    assert refused.status_code == 503
    assert certificate in refused.text
    assert address not in refused.text
    assert time.monotonic() - before < 30
    assert images.status(image) == "queued"
    assert "key manager" in daemon.log.read_text()


def test_what_openssl_signs_is_taken(
    images: Images, barbican: Barbican, tmp_path: Path
) -> None:
    """As docs/configuration.md has it."""
    (tmp_path / "disk.raw").write_bytes(CONTENT)
    made = ("req", "-x509", "-newkey", "rsa:3072", "-nodes", "-subj", "/CN=signer")
    signed = (
        *("dgst", "-sha256", "-sign", "key.pem", "-sigopt", "rsa_padding_mode:pss"),
        *("-sigopt", "rsa_pss_saltlen:max", "-out", "disk.sig", "disk.raw"),
    )
    for words in ((*made, "-keyout", "key.pem", "-out", "cert.pem"), signed):
        subprocess.run(
            ["openssl", *words], cwd=tmp_path, check=True, capture_output=True
        )
    signature = base64.b64encode((tmp_path / "disk.sig").read_bytes()).decode()
    kept = barbican.store("owner", (tmp_path / "cert.pem").read_bytes())
    values = (signature, "SHA-256", "RSA-PSS", kept)

    image = images.queued(dict(zip(NAMES, values, strict=True)))

    assert images.upload(image, CONTENT[1:]).status_code == 400
    assert images.upload(image).status_code == 204


ATTRIBUTES = {"disk_format": "raw", "container_format": "bare"}
Properties = Mapping[str, str]


def glance(url: str, token: str, properties: Properties, content: bytes) -> str:
    """Create an image and upload with python-glanceclient; return its id."""
    client = glanceclient.Client("2", endpoint=url, token=token)
    image = client.images.create(**ATTRIBUTES, **properties)
    with contextlib.suppress(glanceclient.exc.HTTPBadRequest):
        client.images.upload(image.id, io.BytesIO(content))
    return str(image.id)


def sdk(url: str, token: str, properties: Properties, content: bytes) -> str:
    """The same with openstacksdk."""
    access = {"endpoint": f"{url}/v2", "token": token}
    cloud = openstacksdk.connect(auth_type="admin_token", auth=access)
    image = cloud.image.create_image(str(uuid.uuid4()), **ATTRIBUTES, **properties)
    answer = image.upload(cloud.image, data=content)
    assert answer.status_code in (204, 400)
    return str(image.id)


def openstack(url: str, token: str, properties: Properties, content: bytes) -> str:
    """The same with the command, which deletes what it could not upload."""
    image = str(uuid.uuid4())
    access = {"OS_AUTH_TYPE": "admin_token", "OS_TOKEN": token}
    environment = {**access, "OS_ENDPOINT": f"{url}/v2", "PATH": os.environ["PATH"]}
    wanted = [f"--property={name}={value}" for name, value in properties.items()]
    with tempfile.NamedTemporaryFile() as disk:
        disk.write(content)
        disk.flush()
        words = ("image", "create", "--id", image, *wanted, "--file", disk.name, image)
        done = subprocess.run(
            [command("openstack"), *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=CLIENT_S,
            check=False,
        )
    assert done.returncode == 0 or "400" in done.stderr, done.stderr
    return image


@pytest.mark.parametrize("upload", [glance, sdk, openstack])
def test_published_clients_get_what_was_signed_accepted_and_nothing_else(
    images: Images,
    daemon: Daemon,
    keystone: Keystone,
    signer: Signer,
    certificate: str,
    upload: Callable[[str, str, Properties, bytes], str],
) -> None:
    token = keystone.token("owner")
    properties = signer.properties(CONTENT, certificate)

    taken = upload(daemon.url, token, properties, CONTENT)
    refused = upload(daemon.url, token, properties, CONTENT[:-1])

    assert images.status(taken) == "active"
    assert images.data(taken).content == CONTENT
    assert images.data(refused).status_code == (404 if upload is openstack else 204)
