"""gophercloud, the library of terraform and other programs in Go, as Debian packages it."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.hammer import calls
from tests.packages import needs

pytestmark = pytest.mark.slow  # two packages to install, and a library to compile

PACKAGES = ("golang-go", "golang-github-gophercloud-gophercloud-dev")
LIBRARIES = "/usr/share/gocode"
BUILD_S = 300


@pytest.fixture(scope="session")
def life(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in ``life``, compiled."""
    needs(("go", f"{LIBRARIES}/src/github.com/gophercloud"), PACKAGES)
    folder = tmp_path_factory.mktemp("go")
    program = folder / "life"
    environment = os.environ | {
        "GO111MODULE": "off",  # libraries are where the distribution has them
        "GOPATH": LIBRARIES,
        "GOCACHE": str(folder / "cache"),
    }
    subprocess.run(
        ["go", "build", "-o", str(program), "main.go"],
        cwd=Path(__file__).parent / "life",
        env=environment,
        timeout=BUILD_S,
        check=True,
    )
    return program


def test_gophercloud_takes_an_image_through_its_life(
    daemon: Daemon, life: Path, raw_disk: Path
) -> None:
    others = [calls.create(daemon.url).rpartition("/")[2] for _ in range(2)]
    data = raw_disk.read_bytes()

    done = subprocess.run(
        [str(life), daemon.url, "unused"], input=data, capture_output=True, check=False
    )

    assert done.returncode == 0, done.stderr.decode()
    told: dict[str, Any] = json.loads(done.stdout)
    created, uploaded, updated = told["created"], told["uploaded"], told["updated"]
    assert (created["status"], created["visibility"]) == ("queued", "shared")
    assert uploaded["status"] == "active"
    assert uploaded["checksum"] == hashlib.md5(data).hexdigest()
    assert told["same"]
    assert (updated["name"], updated["tags"]) == ("renamed", ["stable"])
    assert (told["member"]["member_id"], told["member"]["status"]) == (
        "other",
        "pending",
    )
    assert {*others, created["id"]} <= set(told["listed"])
    assert told["gone"]
