"""Limits of one image hold when many requests come at once (✗58)."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import daemons
from tests.daemon import Daemon
from tests.hammer import calls

LIMITS = {"image_tag_quota": 3, "image_member_quota": 3, "image_property_quota": 3}


@pytest.fixture(params=["sqlite", "postgresql", "mysql"], scope="module")
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    with daemons(tmp_path_factory.mktemp("quotas")) as start:
        yield start({"DEFAULT": dict(LIMITS)}, database=request.param)


def test_of_eight_tags_at_once_three_are_put_on(daemon: Daemon) -> None:
    image = calls.create(daemon.url)

    def tag(number: int) -> int:
        return calls.call(daemon.url, "PUT", f"{image}/tags/t{number}").status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(tag, range(8)))

    assert statuses == [204] * 3 + [413] * 5
    assert len(calls.show(daemon.url, image)["tags"]) == 3


def test_of_eight_members_at_once_three_are_added(daemon: Daemon) -> None:
    image = calls.create(daemon.url)

    def add(number: int) -> int:
        member = {"member": f"m{number}"}
        return calls.call(daemon.url, "POST", f"{image}/members", member).status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(add, range(8)))

    assert statuses == [200] * 3 + [413] * 5
    members = calls.call(daemon.url, "GET", f"{image}/members").json["members"]
    assert len(members) == 3


def test_of_eight_properties_at_once_three_are_added(daemon: Daemon) -> None:
    image = calls.create(daemon.url)

    def add(number: int) -> int:
        patch = [{"op": "add", "path": f"/p{number}", "value": "x"}]
        return calls.call(daemon.url, "PATCH", image, patch).status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(add, range(8)))

    assert statuses == [200] * 3 + [413] * 5


def test_of_eight_images_of_one_id_at_once_one_is_created(daemon: Daemon) -> None:
    image = {"id": str(uuid.uuid4())}

    def create(_: int) -> int:
        return calls.call(daemon.url, "POST", "/v2/images", image).status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(create, range(8)))

    assert statuses == [201] + [409] * 7


def test_of_eight_deletions_at_once_one_is_made(daemon: Daemon) -> None:
    image = calls.create(daemon.url)
    assert calls.put(daemon.url, image, b"data") == 204

    def delete(_: int) -> int:
        return calls.call(daemon.url, "DELETE", image).status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(delete, range(8)))

    assert statuses == [204] + [404] * 7
    assert not calls.stored_of(daemon.images, image)
