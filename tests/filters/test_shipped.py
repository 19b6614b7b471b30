"""The Paste file as it is shipped: what it describes, and all of it at once."""

import re
from pathlib import Path

import httpx

from tests import people
from tests.filters import pipelines
from tests.filters.conftest import Serve

ME = people.headers("owner", {"owner": "p1"})
LINES = pipelines.SHIPPED.read_text().splitlines()

#: How many filters stand in the pipeline that is served, at least.
USUAL = 7


def described() -> set[str]:
    return {found[1] for line in LINES if (found := re.match(r"\[filter:(.+)\]", line))}


def everything() -> list[str]:
    """The pipeline that the comment shows, of all filters."""
    [line] = [ln for ln in LINES if ln.startswith("#     pipeline = ") and "gzip" in ln]
    return line.partition("=")[2].split()


def usual() -> list[str]:
    [line] = [line for line in LINES if line.startswith("pipeline = ")]
    return line.partition("=")[2].split()


def test_the_comment_shows_every_filter_in_an_order_that_extends_the_usual() -> None:
    assert set(everything()) == described() | {"rootapp"}
    assert [name for name in everything() if name in usual()] == usual()
    assert len(usual()) > USUAL


def test_all_filters_at_once_serve(serve: Serve, tmp_path: Path) -> None:
    names = everything()
    following = dict(zip(names, names[1:], strict=False))
    # Backwards, so that the one behind is there.
    before = {n: following[n] for n in reversed(names) if n not in usual()}
    mine = {"folder": tmp_path / "run"}
    limits = ("address", "reads", "writes")
    url = serve(before, paste={f"filter:ratelimit_{name}": mine for name in limits})
    image = {"disk_format": "raw", "container_format": "bare"}
    octets = {**ME, "Content-Type": "application/octet-stream"}

    made = httpx.post(f"{url}/v2/images", json=image, headers=ME)
    put = httpx.put(f"{url}{made.json()['file']}", content=b"data", headers=octets)
    got = httpx.get(f"{url}{made.json()['file']}", headers=ME)
    schema = httpx.get(f"{url}/v2/schemas/image", headers=ME)

    assert [made.status_code, put.status_code, got.content] == [201, 204, b"data"]
    assert schema.headers["Content-Encoding"] == "gzip"
    assert schema.json()["name"] == "image"
