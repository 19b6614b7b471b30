"""A Keystone that does what it is told to, wrong things above all; limits only.

The real one is in tests/identity.py: what is right is proved with that.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENDPOINT = "e1"
REGISTERED = {
    "image_size_total": 100,
    "image_stage_total": 10,
    "image_count_total": 20,
    "image_count_uploading": 5,
}

Reply = tuple[int, Any]  # status, and what is sent as JSON, or bytes as they are


class SickKeystone:
    """``ill`` maps paths to functions that answer instead; they may take their time.

    ``registered`` and ``projects`` are the limits; ``asked`` counts requests by path.
    """

    def __init__(self) -> None:
        self.url = ""
        self.registered = dict(REGISTERED)
        self.projects: dict[str, dict[str, int]] = {}
        self.ill: dict[str, Callable[[], Reply]] = {}
        self.asked: dict[str, int] = {}
        self._lock = threading.Lock()

    def options(self) -> dict[str, object]:
        """The section [oslo_limit]."""
        return {
            "auth_type": "password",
            "auth_url": self.url,
            "username": "imageservice",
            "password": "secret",
            "user_domain_name": "Default",
            "system_scope": "all",
            "endpoint_id": ENDPOINT,
            "timeout": 1,
        }

    def reply(self, path: str, query: dict[str, str]) -> Reply:
        with self._lock:
            self.asked[path] = self.asked.get(path, 0) + 1
        if path in self.ill:
            return self.ill[path]()
        if path == f"/v3/endpoints/{ENDPOINT}":
            endpoint = {"id": ENDPOINT, "service_id": "s1", "region_id": "r1"}
            return 200, {"endpoint": endpoint}
        if path == "/v3/limits/model":
            return 200, {"model": {"name": "flat", "description": ""}}
        if path == "/v3/registered_limits":
            rows = [
                {"resource_name": name, "default_limit": limit}
                for name, limit in self.registered.items()
            ]
            return 200, {"registered_limits": rows, "links": {"next": None}}
        if path == "/v3/limits":
            own = self.projects.get(query.get("project_id", ""), {})
            rows = [
                {"resource_name": name, "resource_limit": limit}
                for name, limit in own.items()
            ]
            return 200, {"limits": rows, "links": {"next": None}}
        return self._identity(path)

    def _identity(self, path: str) -> Reply:
        version = {
            "id": "v3.14",
            "status": "stable",
            "links": [{"rel": "self", "href": f"{self.url}/"}],
            "media-types": [],
        }
        if path == "/":
            return 300, {"versions": {"values": [version]}}
        if path in ("/v3", "/v3/"):
            return 200, {"version": version}
        if path == "/v3/auth/tokens":
            keystone = {"interface": "public", "region_id": "r1", "url": self.url}
            token = {
                "methods": ["password"],
                "user": {"id": "u", "name": "u", "domain": {"id": "d", "name": "D"}},
                "system": {"all": True},
                "roles": [{"id": "r", "name": "reader"}],
                "issued_at": "2020-01-01T00:00:00.000000Z",
                "expires_at": "2100-01-01T00:00:00.000000Z",
                "catalog": [
                    {
                        "type": "identity",
                        "name": "keystone",
                        "id": "k",
                        "endpoints": [
                            {**keystone, "id": name, "interface": name}
                            for name in ("public", "internal", "admin")
                        ],
                    }
                ],
            }
            return 201, {"token": token}
        return 404, {"error": {"code": 404, "message": path, "title": "Not Found"}}


@contextlib.contextmanager
def running() -> Iterator[SickKeystone]:
    """One that listens on a port of its own."""
    keystone = SickKeystone()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # a reply is one packet

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            path, _, query = self.path.partition("?")
            pairs = dict(p.split("=", 1) for p in query.split("&") if "=" in p)
            status, body = keystone.reply(path, pairs)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("X-Subject-Token", "a-token")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *said: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    keystone.url = f"http://127.0.0.1:{server.server_port}/v3"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield keystone
    finally:
        server.shutdown()
        server.server_close()
