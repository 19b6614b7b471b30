"""The commands ``openstack`` and ``glance`` against a daemon with several stores."""

import filecmp
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imageservice.service import DEVELOPMENT_PIPELINE
from tests.compat.test_commands import glance, openstack, run
from tests.conftest import daemons
from tests.daemon import Daemon

PLAIN = ("--disk-format", "raw", "--container-format", "bare")
IMAGE = "7c7c7c7c-1111-4222-8333-444444444444"


@pytest.fixture(scope="module")
def web(raw_disk: Path) -> Iterator[str]:
    """The URL of the disk on a web server of the operator's."""
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(raw_disk.parent)
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{raw_disk.name}"
        server.shutdown()


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("several")
    (folder / "cold").mkdir()
    with daemons(folder) as start:
        yield start(
            {
                "paste_deploy": {"config_file": DEVELOPMENT_PIPELINE},
                "DEFAULT": {
                    "enabled_backends": "main:file, cold:file, web:http",
                    "show_multiple_locations": True,
                },
                "main": {"store_description": "fast disks"},
                "cold": {"filesystem_store_datadir": folder / "cold"},
                "import_filtering_opts": {
                    "allowed_hosts": "127.0.0.1",
                    "allowed_ports": "",
                },
            }
        )


def test_the_stores_are_shown(several: Daemon) -> None:
    assert "fast disks" in glance(several, "stores-info")
    assert "file" in glance(several, "stores-info", "--detail")
    listed = openstack(several, "stores", "list", "-f", "json")
    assert [store["ID"] for store in listed] == ["main", "cold", "web"]


def test_an_image_is_put_into_a_store_copied_and_taken_out_of_one(
    several: Daemon, raw_disk: Path, tmp_path: Path
) -> None:
    source = ("--file", str(raw_disk), "--store", "cold")
    glance(several, "image-create", "--id", IMAGE, "--name", "moved", *PLAIN, *source)
    configuration = ("--config-file", str(several.configuration))
    copy = ("stores", "copy", "--to", "main", "--image", IMAGE)

    run("imageservice-manage", *configuration, *copy)

    assert "main" in stores(several)
    assert "cold" in stores(several)
    glance(several, "stores-delete", "--store", "cold", IMAGE)
    assert stores(several) == "main"
    with pytest.raises(AssertionError, match="HTTP 403"):
        glance(several, "stores-delete", "--store", "main", IMAGE)
    glance(several, "image-download", "--file", str(tmp_path / "saved"), IMAGE)
    assert filecmp.cmp(tmp_path / "saved", raw_disk, shallow=False)
    glance(several, "image-delete", IMAGE)


def stores(daemon: Daemon) -> str:
    """Those that hold the image, as users see them."""
    shown = openstack(daemon, "show", "-f", "json", IMAGE)
    return str(shown["properties"]["stores"])


def test_an_image_lies_where_a_location_says(
    several: Daemon, web: str, raw_disk: Path, tmp_path: Path
) -> None:
    image = "8c8c8c8c-1111-4222-8333-444444444444"
    glance(several, "image-create", "--id", image, *PLAIN)

    glance(several, "location-add", "--url", web, image)

    assert "active" in glance(several, "image-show", image)
    glance(several, "location-update", "--url", web, "--metadata", '{"a": "b"}', image)
    assert web in glance(several, "image-show", image)
    glance(several, "image-download", "--file", str(tmp_path / "saved"), image)
    assert filecmp.cmp(tmp_path / "saved", raw_disk, shallow=False)
    with pytest.raises(AssertionError, match="HTTP 403"):
        glance(several, "location-delete", "--url", web, image)  # the last one
    glance(several, "image-delete", image)
