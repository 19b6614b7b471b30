"""Uploads that meet other requests for the same image, and clients that go away."""

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import daemons
from tests.daemon import Daemon
from tests.hammer import calls
from tests.hammer.calls import Upload

HALF = b"x" * 1_500_000
DATABASES = ["sqlite", "postgresql", "mysql"]


@pytest.fixture(params=DATABASES, scope="module")
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    with daemons(tmp_path_factory.mktemp("uploads")) as start:
        yield start(database=request.param)


def begun(daemon: Daemon, image: str, size: int | None) -> Upload:
    """Start an upload, and wait until it has the image."""
    upload = Upload(daemon.url, image, size)
    upload.send(HALF)
    calls.until(calls.status_is(daemon.url, image, "saving"), 10, "it is not saving")
    return upload


def test_of_two_uploads_of_one_image_one_wins_and_the_other_hears_it_at_once(
    daemon: Daemon,
) -> None:
    """✗32: the loser gets 409, and harms nothing."""
    image = calls.create(daemon.url)
    first = begun(daemon, image, 2 * len(HALF))

    second = calls.put(daemon.url, image, b"other")

    assert second == 409
    first.send(HALF)
    assert first.end() == 204
    assert calls.download(daemon.url, image) == HALF + HALF
    assert calls.stored_of(daemon.images, image) == {calls.name(image)}


def test_the_loser_hears_it_before_its_body_is_asked_for(daemon: Daemon) -> None:
    image = calls.create(daemon.url)
    first = begun(daemon, image, 2 * len(HALF))

    second = Upload(daemon.url, image, 1 << 40)

    assert second.status() == 409
    first.close()


def test_many_uploads_of_one_image_have_one_winner(daemon: Daemon) -> None:
    image = calls.create(daemon.url)
    bodies = [bytes([number]) * 300_000 for number in range(8)]

    with ThreadPoolExecutor(8) as pool:
        results = list(
            pool.map(lambda body: calls.put(daemon.url, image, body), bodies)
        )

    assert sorted(results) == [204] + [409] * 7
    winner = bodies[results.index(204)]
    assert calls.download(daemon.url, image) == winner
    assert calls.stored_of(daemon.images, image) == {calls.name(image)}


def test_patches_during_an_upload_are_kept_and_undo_nothing(daemon: Daemon) -> None:
    """✗26: an upload and a storm of changes leave an active image with all changes."""
    image = calls.create(daemon.url)
    upload = begun(daemon, image, None)
    ended = threading.Event()

    def change(number: int) -> int:
        answers = set()
        for turn in range(6):
            patch = [{"op": "add", "path": f"/p{number}-{turn}", "value": "x"}]
            answers.add(calls.call(daemon.url, "PATCH", image, patch).status)
            if turn == 3:
                ended.set()
        return max(answers)

    with ThreadPoolExecutor(5) as pool:
        changes = [pool.submit(change, number) for number in range(4)]
        ended.wait()
        upload.send(HALF)
        status = upload.end()
        assert [change.result() for change in changes] == [200] * 4

    assert status == 204
    document = calls.show(daemon.url, image)
    assert document["status"] == "active"
    assert document["size"] == 2 * len(HALF)
    assert {f"p{n}-{t}" for n in range(4) for t in range(6)} <= set(document)
    assert calls.download(daemon.url, image) == HALF + HALF


def test_parallel_patches_of_different_properties_all_survive(daemon: Daemon) -> None:
    image = calls.create(daemon.url)

    def add(number: int) -> int:
        patch = [{"op": "add", "path": f"/p{number}", "value": str(number)}]
        return calls.call(daemon.url, "PATCH", image, patch).status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(add, range(8))) == {200}

    document = calls.show(daemon.url, image)
    assert {f"p{n}": str(n) for n in range(8)}.items() <= document.items()


def test_parallel_tags_all_survive(daemon: Daemon) -> None:
    image = calls.create(daemon.url, tags=["first"])

    def tag(number: int) -> int:
        return calls.call(daemon.url, "PUT", f"{image}/tags/t{number}").status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(tag, range(8))) == {204}

    tags = calls.show(daemon.url, image)["tags"]
    assert sorted(tags) == ["first", *(f"t{n}" for n in range(8))]


def test_an_image_deleted_during_its_upload_is_gone_at_once_and_leaves_no_bytes(
    daemon: Daemon,
) -> None:
    image = calls.create(daemon.url)
    upload = begun(daemon, image, 2 * len(HALF))

    deletion = calls.call(daemon.url, "DELETE", image)

    assert deletion.status == 204
    assert calls.call(daemon.url, "GET", image).status == 404
    upload.send(HALF)
    assert upload.end() == 410
    is_left = functools.partial(calls.stored_of, daemon.images, image)
    calls.until(lambda: not is_left(), 10, "bytes are left")


@pytest.mark.parametrize(
    "leave", [Upload.close, Upload.reset], ids=["closes", "resets"]
)
@pytest.mark.parametrize("size", [3_000_000, None], ids=["sized", "chunked"])
def test_a_client_that_goes_away_leaves_a_queued_image_and_no_bytes(
    daemon: Daemon, leave: Callable[[Upload], None], size: int | None
) -> None:
    image = calls.create(daemon.url)
    upload = begun(daemon, image, size)

    leave(upload)

    calls.until(calls.status_is(daemon.url, image, "queued"), 10, "it is not queued")
    assert not calls.stored_of(daemon.images, image)
    assert calls.show(daemon.url, image)["size"] is None
    assert calls.put(daemon.url, image, b"again") == 204
    assert calls.download(daemon.url, image) == b"again"


def test_a_deactivated_image_that_its_owner_deletes_leaves_no_bytes(
    daemon: Daemon,
) -> None:
    """✗29."""
    image = calls.create(daemon.url)
    assert calls.put(daemon.url, image, b"data") == 204
    calls.call(daemon.url, "POST", f"{image}/actions/deactivate")

    answer = calls.call(daemon.url, "DELETE", image)

    assert answer.status == 204
    assert not calls.stored_of(daemon.images, image)
