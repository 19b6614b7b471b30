"""Two projects share an image, with the published clients and tokens of a real Keystone."""

import filecmp
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import openstack
import pytest
from glanceclient import client as glanceclient
from keystoneauth1 import session
from keystoneauth1.identity import v3

from tests.conftest import daemons
from tests.daemon import Daemon, command
from tests.identity.keystone import ACCOUNTS, DOMAIN, Keystone

TIMEOUT_S = 60
FORMATS = ("--disk-format", "qcow2", "--container-format", "bare")


@pytest.fixture(scope="module")
def guarded(
    keystone: Keystone, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """A daemon with the shipped pipeline, found through Keystone's catalog."""
    with daemons(tmp_path_factory.mktemp("guarded")) as start:
        daemon = start(keystone.options())
        keystone.lead_to(daemon.url)
        yield daemon


def variables(keystone: Keystone, name: str) -> Mapping[str, str]:
    """What a user has in the environment, after sourcing their openrc file."""
    return {
        "OS_AUTH_URL": keystone.url,
        "OS_IDENTITY_API_VERSION": "3",
        "OS_REGION_NAME": keystone.region,
        "OS_USERNAME": name,
        "OS_PASSWORD": keystone.password(name),
        "OS_PROJECT_NAME": ACCOUNTS[name].project,
        "OS_USER_DOMAIN_ID": DOMAIN,
        "OS_PROJECT_DOMAIN_ID": DOMAIN,
    }


def run(keystone: Keystone, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Let a user run ``openstack image``."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.run(
        [command("openstack"), "image", *words],
        env={
            **kept,
            "OS_CLIENT_CONFIG_FILE": "/nonexistent",
            **variables(keystone, name),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_an_image_is_shared_accepted_downloaded_and_hidden_from_others(
    guarded: Daemon, keystone: Keystone, qcow2_disk: Path, tmp_path: Path
) -> None:
    def openstack_image(name: str, *words: str) -> str:
        done = run(keystone, name, *words)
        assert done.returncode == 0, f"{name}: {words}\n{done.stdout}{done.stderr}"
        return done.stdout

    source = ("--file", str(qcow2_disk))
    made = json.loads(
        openstack_image(
            "owner", "create", *FORMATS, "--shared", *source, "-f", "json", "gift"
        )
    )
    image, partner = made["id"], keystone.project("partner")
    assert made["status"] == "active"
    assert made["owner"] == keystone.project("owner")

    openstack_image("owner", "add", "project", image, partner)
    before = openstack_image("partner", "list", "-f", "value", "-c", "ID")
    openstack_image("partner", "set", "--accept", image)
    after = openstack_image("partner", "list", "-f", "value", "-c", "ID")
    copy = tmp_path / "copy.qcow2"
    openstack_image("partner", "save", "--file", str(copy), image)

    assert image not in before.split()
    assert image in after.split()
    assert filecmp.cmp(copy, qcow2_disk, shallow=False)
    stolen = tmp_path / "stolen.qcow2"
    refused = run(keystone, "stranger", "save", "--file", str(stolen), image)
    assert refused.returncode != 0
    assert "No Image found" in refused.stderr
    assert not stolen.exists() or not stolen.stat().st_size
    changed = run(keystone, "partner", "delete", image)
    assert changed.returncode != 0
    assert "403" in changed.stderr or "Forbidden" in changed.stderr, changed.stderr


def credential(keystone: Keystone, name: str) -> v3.ApplicationCredential:
    identity, secret = keystone.credential(name)
    return v3.ApplicationCredential(
        keystone.url,
        application_credential_id=identity,
        application_credential_secret=secret,
    )


def test_openstacksdk_works_with_an_application_credential(
    guarded: Daemon, keystone: Keystone, qcow2_disk: Path
) -> None:
    cloud = openstack.connection.Connection(
        session=session.Session(auth=credential(keystone, "owner")),
        region_name=keystone.region,
    )

    image = cloud.create_image(
        "by-credential", filename=str(qcow2_disk), disk_format="qcow2", wait=True
    )

    assert image.status == "active"
    assert image.owner == keystone.project("owner")
    assert image.id in [listed.id for listed in cloud.image.images()]


def test_glanceclient_works_with_an_application_credential(
    guarded: Daemon, keystone: Keystone
) -> None:
    glance = glanceclient.Client(
        "2",
        session=session.Session(auth=credential(keystone, "reader")),
        region_name=keystone.region,
    )

    assert isinstance(list(glance.images.list()), list)
    with pytest.raises(Exception, match="403"):
        glance.images.create(name="not for readers")
