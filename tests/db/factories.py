"""Small values for the tests of rows."""

import datetime
import threading
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from imageservice.domain.image import Image
from imageservice.domain.query import Viewer

NOW = datetime.datetime(2026, 5, 4, 3, 2, 1, 123456)
LATER = NOW + datetime.timedelta(seconds=5)

OWNER = Viewer("owner", is_admin=False)
OTHER = Viewer("other", is_admin=False)
NOBODY = Viewer(None, is_admin=False)
ADMIN = Viewer("admin", is_admin=True)


def an_image(**changes: Any) -> Image:
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "name": "cirros",
        "status": "queued",
        "visibility": "shared",
        "protected": False,
        "os_hidden": False,
        "owner": "owner",
        "size": None,
        "virtual_size": None,
        "checksum": None,
        "os_hash_algo": None,
        "os_hash_value": None,
        "container_format": "bare",
        "disk_format": "raw",
        "min_disk": 0,
        "min_ram": 0,
        "created_at": NOW,
        "updated_at": NOW,
        "version": 0,
        "membership": None,
        "properties": {},
        "tags": (),
        "locations": (),
    }
    return Image(**(values | changes))


class Bytes(NamedTuple):
    """What an upload stored."""

    url: str = "file:///images/1"
    metadata: dict[str, object] = {}
    size: int = 3 * 2**40
    virtual_size: int | None = 2**42
    checksum: str = "c" * 32
    os_hash_algo: str = "sha512"
    os_hash_value: str = "a" * 128


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Run the calls in threads that start together; their results or exceptions."""
    start = threading.Barrier(len(calls))
    results: list[object] = [None] * len(calls)

    def run(number: int, call: Callable[[], object]) -> None:
        start.wait()
        try:
            results[number] = call()
        except Exception as error:
            results[number] = error

    threads = [
        threading.Thread(target=run, args=(number, call))
        for number, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
