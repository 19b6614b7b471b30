"""Two who want something of one image's locations at the same time, on every database."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import pytest

from imageservice.stores.testing import pattern
from tests import databases
from tests.http.locations import DATA, Held, Service
from tests.outbound import servers


@pytest.fixture(
    scope="module",
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.slow),
        pytest.param("mysql", marks=pytest.mark.slow),
    ],
)
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("races")
    with databases.empty(request.param, folder) as url:
        service = Service(folder, sections={"database": {"connection": url}})
        with service.running():
            yield service


@pytest.fixture
def shared(daemon: Service) -> Iterator[Service]:
    yield daemon
    daemon.wait_for_leases()
    assert "Traceback" not in daemon.daemon.log.read_text()


def at_once(*calls: Callable[[], httpx.Response]) -> Counter[int]:
    """The answers to requests that begin together."""
    answers: Counter[int] = Counter()
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], httpx.Response]) -> None:
        start.wait()
        status = call().status_code
        answers[status] += 1

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.total() == len(calls)
    return answers


def test_one_of_many_registrations_counts(
    shared: Service, server: servers.Server
) -> None:
    for _ in range(5):
        image = shared.image()

        answers = at_once(*[partial(shared.register, image, server.url("/disk"))] * 8)

        assert answers == {202: 1, 409: 7}
        shared.wait(image, status="active", os_hash_algo="sha512")
        assert len(shared.show(image)["locations"]) == 1


def test_an_upload_and_a_registration_do_not_mix(
    shared: Service, server: servers.Server
) -> None:
    ours = pattern(200_000)
    content = {"Content-Type": "application/octet-stream"}
    for _ in range(10):
        image = shared.image()
        file = shared.folder / "images" / image.rsplit("/", 1)[1]

        answers = at_once(
            partial(shared.register, image, server.url("/disk")),
            partial(shared.add, image, server.url("/copy")),
            partial(shared.owner.put, f"{image}/file", content=ours, headers=content),
        )

        # 400: what comes after the upload is no copy of it.
        assert set(answers) <= {200, 202, 204, 400, 409}, answers
        shared.wait_for_leases()
        found = shared.wait(image, status="active")
        stored = [at["metadata"]["store"] for at in found["locations"]]
        assert file.exists() == ("disk" in stored)
        data = shared.owner.get(f"{image}/file").content
        assert data == (ours if "disk" in stored else DATA)


def test_locations_of_an_image_that_is_being_deleted(
    shared: Service, server: servers.Server
) -> None:
    for _ in range(4):
        image = shared.image()
        shared.add(image, server.url("/disk"))

        answers = at_once(
            partial(shared.add, image, server.url("/copy")),
            partial(shared.owner.delete, image),
            partial(shared.register, image, server.url("/other")),
        )

        assert set(answers) <= {200, 204, 404, 409}, answers
        assert answers[204] == 1
        assert shared.owner.get(image).status_code == 404
        shared.wait_for_leases()


@pytest.mark.parametrize("how", ["two-stores", "two-patches", "both"])
def test_of_two_who_remove_the_last_copies_one_does(
    shared: Service, server: servers.Server, how: str
) -> None:
    content = {"Content-Type": "application/octet-stream"}
    first = {"op": "remove", "path": "/locations/0"}
    for _ in range(5):
        image = shared.image()
        image_id = image.rsplit("/", 1)[1]
        shared.owner.put(f"{image}/file", content=DATA, headers=content)
        assert shared.add(image, server.url("/disk")).status_code == 200
        shared.wait_for_leases()
        ways = {
            "two-stores": [
                partial(shared.admin.delete, f"/v2/stores/{store}/{image_id}")
                for store in ("disk", "web")
            ],
            "two-patches": [partial(shared.patch, image, first)] * 2,
            "both": [
                partial(shared.admin.delete, f"/v2/stores/web/{image_id}"),
                partial(shared.patch, image, first),
            ],
        }

        answers = at_once(*ways[how])

        assert answers[200] + answers[204] == 1, answers
        assert answers[403] + answers[404] + answers[409] == 1, answers
        shared.wait_for_leases()
        assert len(shared.show(image)["locations"]) == 1
        assert shared.owner.get(f"{image}/file").content == DATA


def test_a_look_that_goes_on_lets_nobody_write(
    shared: Service, server: servers.Server
) -> None:
    image, held = shared.image(), Held()
    server.paths["/held"] = held
    said = {"os_hash_algo": "sha512", "os_hash_value": "a" * 128}
    shared.register(image, server.url("/held"), **said)
    assert held.asked.wait(60)
    content = {"Content-Type": "application/octet-stream"}

    upload = shared.owner.put(f"{image}/file", content=b"x", headers=content)
    patch = shared.add(image, server.url("/copy"))

    held.released.set()
    assert (upload.status_code, patch.status_code) == (409, 409)
    shared.wait(image, status="queued")


def test_a_look_that_goes_on_lets_copies_be_removed(
    shared: Service, server: servers.Server
) -> None:
    image, held = shared.image(), Held()
    image_id = image.rsplit("/", 1)[1]
    server.paths["/held"] = held
    content = {"Content-Type": "application/octet-stream"}
    shared.owner.put(f"{image}/file", content=DATA, headers=content)
    assert shared.add(image, server.url("/held")).status_code == 200
    assert held.asked.wait(60)

    removed = shared.admin.delete(f"/v2/stores/disk/{image_id}")

    left = shared.show(image)["locations"]
    held.released.set()
    assert removed.status_code == 204
    assert [at["url"] for at in left] == [server.url("/held")]
    shared.wait_for_leases()
    assert not (shared.folder / "images" / image_id).exists()
    assert shared.owner.get(f"{image}/file").content == DATA
