"""Requests of projects to a daemon that trusts identity headers."""

import threading
import uuid
from collections.abc import Iterator

import httpx

from tests.daemon import Daemon

MIB = 2**20
OCTETS = {"Content-Type": "application/octet-stream"}


class Project:
    """Speaks to a daemon as a member of one project; ``id`` is Keystone's, or made up."""

    def __init__(self, daemon: Daemon, project_id: str | None = None) -> None:
        self.id = project_id or uuid.uuid4().hex
        self._client = httpx.Client(
            base_url=daemon.url,
            headers={
                "X-Identity-Status": "Confirmed",
                "X-Roles": "member,reader",
                "X-Project-Id": self.id,
                "X-User-Id": "somebody",
            },
            timeout=60,
        )

    def create(self) -> httpx.Response:
        wish = {"disk_format": "raw", "container_format": "bare"}
        return self._client.post("/v2/images", json=wish)

    def image(self) -> str:
        """Create an image; return its id."""
        made = self.create()
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def upload(
        self, image_id: str, size: int, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return self._client.put(
            f"/v2/images/{image_id}/file",
            content=bytes(size),
            headers=OCTETS | (headers or {}),
        )

    def held(self, image_id: str, sent: threading.Event, end: threading.Event) -> int:
        """Upload one MiB and a byte; the byte waits for ``end``. Return the status."""

        def data() -> Iterator[bytes]:
            yield bytes(MIB)
            sent.set()
            end.wait(60)
            yield b"."

        answer = self._client.put(
            f"/v2/images/{image_id}/file", content=data(), headers=OCTETS
        )
        return answer.status_code

    def delete(self, image_id: str) -> None:
        assert self.call("DELETE", f"/v2/images/{image_id}").status_code == 204

    def call(self, method: str, path: str) -> httpx.Response:
        return self._client.request(method, path)

    def status(self, image_id: str) -> str:
        return str(self.call("GET", f"/v2/images/{image_id}").json()["status"])

    def usage(self) -> dict[str, tuple[int, int]]:
        """What /v2/info/usage says: usage and limit by the limit's name."""
        told = self.call("GET", "/v2/info/usage")
        assert told.status_code == 200, told.text
        return {
            name: (use["usage"], use["limit"])
            for name, use in told.json()["usage"].items()
        }
