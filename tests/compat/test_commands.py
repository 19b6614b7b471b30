"""The commands ``openstack`` and ``glance``, unchanged, against a new daemon."""

import filecmp
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, command

TIMEOUT_S = 60


def run(*words: str) -> str:
    """Run a command without any settings of the machine's user; return what it prints."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    # A terminal, because glance uploads what any other standard input holds.
    terminal, keyboard = os.openpty()
    done = subprocess.run(
        [command(words[0]), *words[1:]],
        env={**kept, "OS_CLIENT_CONFIG_FILE": "/nonexistent", "COLUMNS": "200"},
        stdin=keyboard,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(keyboard)
    os.close(terminal)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


def openstack(daemon: Daemon, *words: str) -> Any:
    """Run an ``openstack image`` command; return its JSON if it prints some."""
    access = ["--os-auth-type", "none", "--os-endpoint", daemon.url]
    printed = run("openstack", *access, "image", *words)
    return json.loads(printed) if "json" in words else printed


def glance(daemon: Daemon, *words: str) -> str:
    access = ["--os-image-url", daemon.url, "--os-auth-token", "unused"]
    return run("glance", *access, *words)


def test_openstack_takes_an_image_through_its_life(
    daemon: Daemon, qcow2_disk: Path, tmp_path: Path
) -> None:
    as_json = ("-f", "json")
    formats = ("--disk-format", "qcow2", "--container-format", "bare")
    labels = ("--property", "os_distro=debian", "--tag", "linux")
    source = ("--file", str(qcow2_disk))
    name = "openstack-life"

    made = openstack(daemon, "create", *formats, *labels, *source, *as_json, name)

    assert made["status"] == "active"
    assert made["size"] == qcow2_disk.stat().st_size
    listed = openstack(daemon, "list", "--name", name, "--status", "active", *as_json)
    assert [image["ID"] for image in listed] == [made["id"]]
    tagged = openstack(daemon, "list", "--tag", "linux", "--long", *as_json)
    assert made["id"] in [image["ID"] for image in tagged]
    by_property = openstack(daemon, "list", "--property", "os_distro=debian", *as_json)
    assert [image["ID"] for image in by_property] == [made["id"]]
    changes = ("--min-ram", "512", "--property", "os_version=12", "--tag", "stable")
    openstack(daemon, "set", *changes, name)
    openstack(daemon, "unset", "--property", "os_distro", "--tag", "linux", name)
    shown = openstack(daemon, "show", *as_json, name)
    assert (shown["min_ram"], shown["tags"]) == (512, ["stable"])
    assert shown["properties"]["os_version"] == "12"
    assert "os_distro" not in shown["properties"]
    openstack(daemon, "save", "--file", str(tmp_path / "saved"), name)
    assert filecmp.cmp(tmp_path / "saved", qcow2_disk, shallow=False)
    openstack(daemon, "delete", name)
    assert openstack(daemon, "list", "--name", name, *as_json) == []


def test_openstack_lists_the_projects_that_an_image_is_shared_with(
    daemon: Daemon,
) -> None:
    """It cannot add them here: for that it asks Keystone, which is not there."""
    as_json = ("-f", "json")
    image = openstack(daemon, "create", "--shared", *as_json, "openstack-shared")["id"]
    glance(daemon, "member-create", image, "somebody")

    members = openstack(daemon, "member", "list", *as_json, image)

    assert [(m["Member ID"], m["Status"]) for m in members] == [("somebody", "pending")]
    openstack(daemon, "delete", image)


def test_openstack_protects_and_deactivates_an_image(
    daemon: Daemon, raw_disk: Path
) -> None:
    as_json = ("-f", "json")
    name = "openstack-protected"
    source = ("--file", str(raw_disk), "--disk-format", "raw", "--protected")
    openstack(daemon, "create", *source, name)

    with pytest.raises(AssertionError, match="protected"):
        openstack(daemon, "delete", name)

    openstack(daemon, "set", "--unprotected", "--deactivate", name)
    assert openstack(daemon, "show", *as_json, name)["status"] == "deactivated"
    openstack(daemon, "set", "--activate", name)
    assert openstack(daemon, "show", *as_json, name)["status"] == "active"
    openstack(daemon, "delete", name)


def test_glance_takes_an_image_through_its_life(
    daemon: Daemon, raw_disk: Path, tmp_path: Path
) -> None:
    formats = ("--disk-format", "raw", "--container-format", "bare")
    image = "6b6b6b6b-1111-4222-8333-444444444444"

    made = glance(daemon, "image-create", "--id", image, "--name", "life", *formats)
    assert "queued" in made
    glance(daemon, "image-upload", "--file", str(raw_disk), image)

    assert "life" in glance(daemon, "image-list", "--property-filter", "status=active")
    assert "active" in glance(daemon, "image-show", image)
    glance(daemon, "image-update", "--property", "os_distro=debian", image)
    glance(daemon, "image-tag-update", image, "linux")
    assert "debian" in glance(daemon, "image-show", image)
    assert "life" in glance(daemon, "image-list", "--tag", "linux")
    glance(daemon, "image-download", "--file", str(tmp_path / "saved"), image)
    assert filecmp.cmp(tmp_path / "saved", raw_disk, shallow=False)
    glance(daemon, "image-tag-delete", image, "linux")
    glance(daemon, "image-deactivate", image)
    glance(daemon, "image-reactivate", image)
    glance(daemon, "member-create", image, "somebody")
    glance(daemon, "member-update", image, "somebody", "accepted")
    assert "accepted" in glance(daemon, "member-list", "--image-id", image)
    glance(daemon, "member-delete", image, "somebody")
    glance(daemon, "image-delete", image)
    assert "life" not in glance(daemon, "image-list")


def test_glance_says_in_words_what_is_wrong(daemon: Daemon) -> None:
    with pytest.raises(AssertionError, match="HTTP 404 Not Found: "):
        glance(daemon, "image-show", "00000000-0000-4000-8000-000000000000")
    with pytest.raises(AssertionError, match="HTTP 400 Bad Request: "):
        glance(daemon, "image-list", "--property-filter", "size_min=big")


def test_glance_shows_the_schema_and_the_methods_of_import(daemon: Daemon) -> None:
    assert "os_hash_value" in glance(daemon, "explain", "image")
    assert "import-methods" in glance(daemon, "import-info")
