"""A daemon whose users register locations, and what they do with it."""

import contextlib
import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import sqlalchemy

from imageservice.stores.testing import pattern
from tests import people
from tests.daemon import Daemon, command

DATA = pattern(3_000_017)
OTHER = b"x" + DATA[1:]
PROJECTS = {"owner": "p", "service": "p", "admin": "p"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
PATIENCE_S = 60
THIS_MACHINE = {"allowed_hosts": "127.0.0.1", "allowed_ports": ""}
EMPTY: Mapping[str, Mapping[str, object]] = {}


def sha(data: bytes, algorithm: str = "sha512") -> str:
    return hashlib.new(algorithm, data).hexdigest()


class Service:
    """A daemon and its clients; ``filtering`` says where users may connect to."""

    def __init__(
        self,
        folder: Path,
        filtering: Mapping[str, object] = THIS_MACHINE,
        sections: Mapping[str, Mapping[str, object]] = EMPTY,
        **more: object,
    ) -> None:
        options: dict[str, Mapping[str, object]] = {
            "DEFAULT": {
                "data_dir": folder / "data",
                "enabled_backends": "disk:file, web:http",
                "workers": 2,
                "show_multiple_locations": True,
                "show_image_direct_url": True,
                "http_retries": 2,
                **more,
            },
            "glance_store": {"default_backend": "disk"},
            "disk": {"filesystem_store_datadir": folder / "images"},
            "import_filtering_opts": filtering,
            **sections,
        }
        self.folder = folder
        database = f"sqlite:///{folder}/rows.sqlite"
        self.database = str(
            options.setdefault("database", {"connection": database})["connection"]
        )
        self.daemon = Daemon(folder, options)
        self.manage("db", "sync").check_returncode()

    def client(self, who: str) -> httpx.Client:
        headers = people.headers(who, PROJECTS)
        return httpx.Client(base_url=self.daemon.url, headers=headers, timeout=60)

    @contextlib.contextmanager
    def running(self) -> Iterator["Service"]:
        with (
            self.daemon,
            self.client("owner") as self.owner,
            self.client("admin") as self.admin,
            self.client("owner") as self.nova,
        ):
            self.nova.headers["X-Service-Roles"] = "service"
            yield self

    # --- what the tests do with it ---

    def manage(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run ``imageservice-manage`` with these words."""
        line = [command("imageservice-manage"), "--config-file"]
        return subprocess.run(
            [*line, str(self.daemon.configuration), *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def image(self, **more: str) -> str:
        """Create a queued image and return its path."""
        attributes = {"name": "x", "disk_format": "raw", "container_format": "bare"}
        answer = self.owner.post("/v2/images", json={**attributes, **more})
        return f"/v2/images/{answer.raise_for_status().json()['id']}"

    def register(self, image: str, url: str, **digests: str) -> httpx.Response:
        body = {"url": url, "validation_data": digests}
        return self.owner.post(f"{image}/locations", json=body)

    def patch(self, image: str, *operations: object) -> httpx.Response:
        body = json.dumps(operations)
        return self.admin.patch(image, content=body, headers=PATCH)

    def add(self, image: str, url: str, **more: object) -> httpx.Response:
        value = {"url": url, "metadata": {}, **more}
        return self.patch(image, {"op": "add", "path": "/locations/-", "value": value})

    def show(self, image: str) -> dict:
        return self.owner.get(image).raise_for_status().json()

    def wait(self, image: str, **wanted: object) -> dict:
        """Wait until the image is so."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = self.show(image)
            if all(found[name] == value for name, value in wanted.items()):
                return found
            time.sleep(0.05)
        raise AssertionError(f"not {wanted}: {found}")

    def leases(self) -> list:
        engine = sqlalchemy.create_engine(self.database)
        try:
            with engine.connect() as rows:
                query = sqlalchemy.text("SELECT image_id, purpose FROM leases")
                return list(rows.execute(query))
        finally:
            engine.dispose()

    def wait_for_leases(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while self.leases():
            assert time.monotonic() < end, self.leases()
            time.sleep(0.05)


class Held:
    """An answer that begins, and goes on when it is let to."""

    def __init__(self) -> None:
        self.asked, self.released = threading.Event(), threading.Event()

    def __call__(self, handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(DATA[:1000])
            handler.wfile.flush()
            self.asked.set()
            self.released.wait(PATIENCE_S)
            handler.wfile.write(DATA[1000:])
