"""The service with its images in Ceph, as clients and nova see it."""

import contextlib
import hashlib

import httpx
import pytest

from imageservice.db import engine, schema
from tests.daemon import Daemon
from tests.stores.rbds import options

pytestmark = pytest.mark.servers

CALLER = {
    "X-Identity-Status": "Confirmed",
    "X-User-Id": "u",
    "X-Project-Id": "p",
    "X-Roles": "member,admin",
}
SIZE = 9 * 1024 * 1024 + 5


@pytest.fixture(scope="module")
def client(ceph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    chosen = options(ceph)
    conf = {
        "DEFAULT": {
            "bind_host": "127.0.0.1",
            "workers": 2,
            "enabled_backends": "fast:rbd",
            "show_image_direct_url": "true",
        },
        "glance_store": {"default_backend": "fast"},
        "fast": {name: value for name, value in chosen.items() if value is not None},
        "database": {"connection": f"sqlite:///{folder}/db.sqlite"},
    }
    with contextlib.ExitStack() as stack:
        daemon = ready(stack, folder, conf)
        yield stack.enter_context(
            httpx.Client(base_url=daemon.url, headers=CALLER, timeout=60)
        )


def ready(stack, folder, conf):
    database = engine.Database(conf["database"]["connection"])
    schema.sync(database)
    database.close()
    return stack.enter_context(Daemon(folder, conf))


def test_an_image_goes_in_and_out_and_can_be_cloned(client):
    data = hashlib.shake_256(b"rbd").digest(SIZE)
    new = {"disk_format": "raw", "container_format": "bare"}
    image = client.post("/v2/images", json=new).json()["id"]
    file = f"/v2/images/{image}/file"

    sent = client.put(
        file, content=data, headers={"Content-Type": "application/octet-stream"}
    )
    assert sent.status_code == 204, sent.text

    assert client.get(file).content == data
    part = client.get(file, headers={"Range": "bytes=4194300-4194310"})
    assert (part.status_code, part.content) == (206, data[4194300:4194311])
    shown = client.get(f"/v2/images/{image}").json()
    assert shown["direct_url"].startswith("rbd://")
    assert shown["direct_url"].endswith(f"/images/{image}/snap")
    assert client.delete(f"/v2/images/{image}").status_code == 204
    assert client.get(f"/v2/images/{image}").status_code == 404
