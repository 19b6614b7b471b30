"""What an operator does with ``imageservice-manage stores`` beside a running daemon."""

import contextlib
import http.client
import json
import os
import subprocess
from typing import Any

from tests import people
from tests.daemon import Daemon, command
from tests.hammer import calls

MIB = 1024 * 1024
SIZE = 32 * MIB
"""Of a slow download: far more than sockets and readers keep in advance."""


def stores(daemon: Daemon, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Run ``imageservice-manage stores``; return its exit code and its lines."""
    line = [command("imageservice-manage"), "--config-file", daemon.configuration]
    done = subprocess.run(
        [*line, "stores", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(each) for each in done.stdout.splitlines()]


def drain_while_it_is_read(daemon: Daemon, frm: str, to: str) -> None:
    """Drain a store whose only image a slow client reads, who gets all of it."""
    image, data = calls.create(daemon.url), os.urandom(SIZE)
    kind = {"Content-Type": "application/octet-stream", "X-Image-Meta-Store": frm}
    assert calls.call(daemon.url, "PUT", f"{image}/file", data, kind).status == 204
    connection = http.client.HTTPConnection(
        *calls.address(daemon.url), timeout=calls.TIMEOUT_S
    )
    with contextlib.closing(connection):
        headers = people.headers("owner", calls.PROJECTS)
        connection.request("GET", f"{image}/file", headers=headers)
        answer = connection.getresponse()
        begun = answer.read(MIB)

        code, lines = stores(daemon, "drain", frm, "--to", to)

        moved = [line["result"] for line in lines if line["type"] == "image"]
        assert (code, moved) == (0, ["moved"])
        assert calls.show(daemon.url, image)["stores"] == to
        assert begun + answer.read() == data
    assert calls.download(daemon.url, image) == data
    assert (
        calls.call(daemon.url, "DELETE", image).status == 204
    )  # others use the server
