"""A driver of somebody else's package: installed, it is there, and nothing else is needed."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from imageservice.stores import configuration
from imageservice.stores.testing import DriverSuite, Threads
from tests.hammer import calls

SOURCE = Path(__file__).parent / "toy"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder into which the package was installed, from a copy of its source."""
    folder = tmp_path_factory.mktemp("toy")
    source = folder / "source"
    (source / "toystore").mkdir(parents=True)
    for name in ("pyproject.toml", "backend.py", "toystore/__init__.py"):
        (source / name).write_bytes((SOURCE / name).read_bytes())
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
        "--no-build-isolation", "--disable-pip-version-check",
        "--target", str(folder / "installed"), str(source),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "installed"


@pytest.fixture(scope="module")
def plugged(installed):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(installed))
        yield configuration.driver_class("toy", "this test")
    sys.modules.pop("toystore", None)
    importlib.invalidate_caches()


class TestToy(DriverSuite):
    test_more_than_five_gibibytes = None

    @pytest.fixture
    def driver(self, plugged, tmp_path):
        options = {"toy_store_file": str(tmp_path / "toy.sqlite")}
        driver = plugged.configured("theirs", options, Threads())
        driver.create()
        return driver

    def left(self, driver):
        return driver.held()


def test_a_daemon_keeps_images_in_it(installed, start_daemon, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(installed))
    data = bytes(range(256)) * (3 * MIB // 256) + b"end"

    daemon = start_daemon(
        {
            "DEFAULT": {"enabled_backends": "main:file, theirs:toy", "workers": 1},
            "theirs": {
                "toy_store_file": tmp_path / "theirs.sqlite",
                "toy_store_password": "open sesame",
                "store_description": "A toy",
            },
        }
    )

    image = calls.create(daemon.url)
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Image-Meta-Store": "theirs",
    }
    answer = calls.call(daemon.url, "PUT", f"{image}/file", data, headers)
    assert answer.status == 204, answer
    assert calls.show(daemon.url, image)["stores"] == "theirs"
    assert calls.download(daemon.url, image) == data
    listed = calls.call(daemon.url, "GET", "/v2/info/stores").json["stores"]
    assert {"id": "theirs", "description": "A toy"} in listed
    detail = calls.call(daemon.url, "GET", "/v2/info/stores/detail", who="admin")
    assert b"sesame" not in detail.body
    assert calls.call(daemon.url, "DELETE", image).status == 204
