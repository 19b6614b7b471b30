"""Moving images while processes are killed and images deleted."""

import subprocess
import threading
import time

import pytest

from imageservice.stores.testing import Zeros
from tests.care.place import UNLIMITED
from tests.db.factories import an_image

SIZE = 256 * 1024 * 1024
WAIT_S = 120


@pytest.fixture
def large(place):
    """Takes long enough to copy for something to happen meanwhile."""
    with place.tools() as tools:
        image = tools.images.create(tools.context, an_image(), UNLIMITED)
        tools.images.upload(tools.context, image, Zeros(SIZE), SIZE, "near", UNLIMITED)
    return image.id


def begun(place, image_id):
    """Wait until bytes of a copy lie in the other store."""
    deadline = time.monotonic() + WAIT_S
    while not any(name.startswith(f".{image_id}") for name in place.held("far")):
        assert time.monotonic() < deadline, "nothing was copied"
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("copy", "--to", "far", "--all"), ("drain", "near", "--to", "far")]
)
def test_after_kill_9_the_same_command_finishes_the_work(place, large, words):
    small = [place.upload("near") for _ in range(3)]
    with subprocess.Popen(place.command(*words, "--jobs", "1")) as process:
        begun(place, large)
        process.kill()
    assert place.file("near", large).exists()

    answer = place.manage(*words)

    assert answer.code == 0
    assert place.held("far") == sorted([large, *small])
    kept = [] if words[0] == "drain" else [large, *small]
    assert place.held("near") == sorted(kept)
    assert place.audit("--digest").code == 0


@pytest.mark.slow
def test_an_image_that_is_deleted_while_it_is_copied_leaves_nothing(place, large):
    answers = []
    copying = threading.Thread(
        target=lambda: answers.append(place.manage("copy", "--to", "far", "--all"))
    )
    copying.start()
    begun(place, large)
    with place.tools() as tools:
        tools.images.delete(tools.context, tools.images.find(tools.context, large))

    copying.join(WAIT_S)

    assert [step["result"] for step in answers[0].of("image")] == ["no such image"]
    assert place.held("near") == place.held("far") == []
