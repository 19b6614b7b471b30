"""The daemon reads an image from a web server, as far as the operator lets it."""

import contextlib
import hashlib
import sqlite3
import subprocess

import httpx
import pytest

from imageservice.stores.testing import pattern
from tests import people
from tests.daemon import Daemon, command

from . import servers

DATA = pattern(3_000_017)
OWNER = people.headers("owner", {"owner": "p"})


def options(folder, **filtering):
    return {
        "DEFAULT": {
            "data_dir": folder / "data",
            "enabled_backends": "disk:file, web:http",
            "workers": 1,
        },
        "glance_store": {"default_backend": "disk"},
        "disk": {"filesystem_store_datadir": folder / "images"},
        "import_filtering_opts": filtering,
    }


@contextlib.contextmanager
def running(folder, **filtering):
    daemon = Daemon(folder, options(folder, **filtering))
    sync = ["--config-file", str(daemon.configuration), "db", "sync"]
    subprocess.run([command("imageservice-manage"), *sync], check=True)
    with (
        daemon,
        httpx.Client(base_url=daemon.url, headers=OWNER, timeout=30) as client,
    ):
        yield client


@pytest.fixture
def server():
    with servers.running() as server:
        server.paths["/image"] = servers.ranged(DATA)
        yield server


def an_image_at(url, folder, client):
    """An image whose bytes an older service has registered at ``url``."""
    attributes = {"name": "x", "disk_format": "raw", "container_format": "bare"}
    image = client.post("/v2/images", json=attributes).raise_for_status().json()["id"]
    binary = {"Content-Type": "application/octet-stream"}
    stored = client.put(f"/v2/images/{image}/file", content=DATA, headers=binary)
    stored.raise_for_status()
    (path,) = (folder / "data").glob("*.sqlite")
    with sqlite3.connect(path) as rows:
        rows.execute("UPDATE image_locations SET url = ?, store = 'web'", (url,))
    rows.close()
    return f"/v2/images/{image}"


def test_an_image_is_read_from_a_server_that_the_operator_lists(server, tmp_path):
    with running(tmp_path, allowed_hosts="127.0.0.1", allowed_ports="") as client:
        image = an_image_at(server.url("/image"), tmp_path, client)

        whole = client.get(f"{image}/file")
        part = client.get(f"{image}/file", headers={"Range": "bytes=2000000-2000009"})
        gone = client.delete(image)

    assert hashlib.md5(whole.content).hexdigest() == whole.headers["Content-MD5"]
    assert (part.status_code, part.content) == (206, DATA[2_000_000:2_000_010])
    assert gone.status_code == 204


def test_a_server_on_this_machine_hears_nothing(server, tmp_path):
    with running(tmp_path, allowed_ports="") as client:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"):
            image = an_image_at(server.url("/image", host), tmp_path, client)

            refused = client.get(f"{image}/file")

            assert 400 <= refused.status_code < 600
            assert host not in refused.text

    assert server.asked == []
    assert "loopback" in (tmp_path / "daemon.log").read_text()


def test_what_is_refused_looks_like_what_fails(server, tmp_path):
    """Or a server of a user's could ask by redirects what the filter lets pass."""
    server.paths["/refused"] = servers.redirect("http://10.0.0.1/")
    server.paths["/failing"] = servers.status(500)
    answers = []
    with running(tmp_path, allowed_hosts="127.0.0.1", allowed_ports="") as client:
        for path in ("/refused", "/failing"):
            image = an_image_at(server.url(path), tmp_path, client)
            answer = client.get(f"{image}/file")
            answers.append((answer.status_code, answer.text.replace(image, "")))

    assert answers[0][0] == 503
    assert answers[0] == answers[1]
