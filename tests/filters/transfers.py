"""Image data through a pipeline, there and back."""

from collections.abc import Mapping

import httpx

DATA = b"0123456789" * 500_000


def round_trip(url: str, headers: Mapping[str, str]) -> bool:
    """Tell whether data that is uploaded comes back as it was."""
    image = {"disk_format": "raw", "container_format": "bare"}
    made = httpx.post(f"{url}/v2/images", json=image, headers=headers).json()
    octets = {**headers, "Content-Type": "application/octet-stream"}
    put = httpx.put(f"{url}{made['file']}", content=DATA, headers=octets)
    got = httpx.get(f"{url}{made['file']}", headers=headers)
    return put.status_code == 204 and got.content == DATA
