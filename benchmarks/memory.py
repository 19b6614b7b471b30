"""Memory of the daemon during one large upload and during many slow downloads.

Ends with status 1 if the processes grow by more than the limit. The image it makes
is deleted at the end.

    python benchmarks/memory.py http://127.0.0.1:9292 PID
"""

import argparse
import contextlib
import json
import socket
import sys
import time

from api import Api, header
from process import Peak, Tree

SIP = 64 * 1024
PAUSE_S = 0.1


def main() -> int:
    options = _options()
    api, tree = Api(options.url, dict(options.header)), Tree(options.pid)
    api.call("GET", "/v2/images")
    idle = tree.memory_mib()
    image_id = api.create(name="benchmark-memory")
    try:
        started = time.monotonic()
        with Peak(tree) as uploading:
            api.upload(image_id, options.upload_mib)
        seconds = time.monotonic() - started
        with Peak(tree) as downloading:
            received = sip(api, image_id, options.downloads, options.seconds)
    finally:
        api.call("DELETE", f"/v2/images/{image_id}")
    figures = {
        "idle MiB": idle,
        "growth during the upload MiB": uploading.mib - idle,
        "growth during the downloads MiB": downloading.mib - idle,
        "upload MiB": options.upload_mib,
        "upload MiB/s": options.upload_mib / seconds,
        "downloads at once": options.downloads,
        "slowest download had MiB": min(received) / 1024**2,
    }
    for name, figure in figures.items():
        print(f"{name:<34}{figure:10.1f}")
    if options.json:
        with open(options.json, "w") as out:
            json.dump(figures, out, indent=1)
    growth = max(uploading.mib, downloading.mib) - idle
    if growth > options.limit_mib:
        print(f"The processes grew by {growth:.1f} MiB, more than {options.limit_mib}.")
        return 1
    return 0


def sip(api: Api, image_id: str, count: int, seconds: float) -> list[int]:
    """Download ``count`` times at once, 640 KiB/s each, and hang up after ``seconds``.

    Returns the bytes that each got. Ends the program if one got none.
    """
    lines = [f"GET /v2/images/{image_id}/file HTTP/1.1", f"Host: {api.address[0]}"]
    lines += [f"{name}: {value}" for name, value in api.headers.items()]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    received = [0] * count
    with contextlib.ExitStack() as open_sockets:
        sockets = []
        for _ in range(count):
            client = open_sockets.enter_context(socket.create_connection(api.address))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SIP)
            client.sendall(request)
            client.setblocking(False)
            sockets.append(client)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for number, client in enumerate(sockets):
                with contextlib.suppress(BlockingIOError):
                    received[number] += len(client.recv(SIP))
            time.sleep(PAUSE_S)
    if not all(received):
        raise SystemExit(f"{received.count(0)} of {count} downloads got nothing.")
    return received


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="http://127.0.0.1:PORT")
    parser.add_argument("pid", type=int, help="of the daemon; its children count too")
    parser.add_argument("--upload-mib", type=int, default=8192)
    parser.add_argument("--downloads", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=15, help="of slow downloads")
    parser.add_argument("--limit-mib", type=float, default=64)
    parser.add_argument("--header", type=header, action="append", default=[])
    parser.add_argument("--json", help="also write the figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
