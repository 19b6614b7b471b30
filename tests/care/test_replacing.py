"""Bad copies that cannot be replaced at once are not forgotten."""

import io
import os
import subprocess
import time

import pytest

from imageservice.care.mending import Mending
from imageservice.care.pace import Pace
from imageservice.stores.testing import Zeros
from tests import databases
from tests.care.place import UNLIMITED, Place, findings
from tests.db.factories import an_image
from tests.unit.stores.s3.service import running

MIB = 1024 * 1024
SIZE = 256 * MIB
WAIT_S = 120


@pytest.fixture
def healthy(place):
    return [place.upload("near", "far") for _ in range(3)]


def cut(place, image_id):
    path = place.file("far", image_id)
    path.chmod(0o600)
    os.truncate(path, 1)


def bucket(service):
    """A store in an S3 service: in each the same bucket."""
    return "s3", {
        "s3_store_host": f"http://127.0.0.1:{service.port}",
        "s3_store_access_key": "a",
        "s3_store_secret_key": "b",
        "s3_store_bucket": "images",
        "s3_store_bucket_url_format": "path",
    }


def mended(tools):
    """What came of the only thing that is wrong in ``far``; None if nothing is."""
    mending = Mending(tools, Pace(), dry_run=False)
    done = [mending.mend(each) for each in findings(tools, "far")]
    assert len(done) < 2
    return done[0] if done else None


def test_what_has_no_room_is_mended_as_soon_as_there_is_some(tmp_path):
    with databases.ready("sqlite", tmp_path) as url:
        place = Place(tmp_path, url, far=("memory", {"memory_store_size": 4}))
        image_id = place.upload("near", data=os.urandom(2 * MIB))
        with place.tools() as tools:
            image = tools.images.find(tools.context, image_id)
            tools.images.copy(tools.context, image, "far", UNLIMITED)
            far = tools.stores.get("far").driver
            (copy,) = far.listing()
            far.delete(copy.url)
            far.write(copy.key, io.BytesIO(b"2"), None)
            ballast = far.write("README", Zeros(3 * MIB), None).url

            first, second = mended(tools), mended(tools)
            far.delete(ballast)
            third = mended(tools)

            results = [(each.kind, each.outcome) for each in (first, second, third)]
            assert results == [
                ("size", "kept"),
                ("missing", "kept"),
                ("missing", "replaced"),
            ]
            assert "bytes more are needed" in first.reason
            assert far.size(copy.url) == 2 * MIB
            assert mended(tools) is None


def test_a_good_copy_may_have_the_same_name_in_another_store(tmp_path):
    with (
        running() as far,
        running() as spare,
        databases.ready("sqlite", tmp_path) as url,
    ):
        place = Place(tmp_path, url, far=bucket(far), spare=bucket(spare))
        image_id = place.upload("far", "spare")
        far.objects[image_id].data = b"atad"

        # By force: this small service lists nothing.
        answer = place.audit("--store", "far", "--digest", "--repair", "--force")

    assert answer.findings == [("far", "content", image_id, "replaced")]
    assert far.objects[image_id].data == spare.objects[image_id].data


def test_what_is_replaced_keeps_its_place_among_the_others(place, healthy):
    image = place.upload("far", "near")
    cut(place, image)

    assert place.audit("--repair").findings == [("far", "size", image, "replaced")]

    with place.tools() as tools:
        found = tools.images.find(tools.context, image)
    assert [at.store for at in found.locations] == ["far", "near"]


@pytest.mark.slow
def test_after_kill_9_in_a_repair_the_next_one_mends_the_rest(place, healthy):
    with place.tools() as tools:
        image = tools.images.create(tools.context, an_image(), UNLIMITED)
        tools.images.upload(tools.context, image, Zeros(SIZE), SIZE, "near", UNLIMITED)
        image = tools.images.find(tools.context, image.id)
        tools.images.copy(tools.context, image, "far", UNLIMITED)
    cut(place, image.id)
    repair = place.command("audit", "--min-age", "0", "--repair", "--rate", "64")
    with subprocess.Popen(repair, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + WAIT_S
        while not any(name.startswith(f".{image.id}") for name in place.held("far")):
            assert time.monotonic() < deadline, "nothing was written"
            time.sleep(0.01)
        process.kill()
    assert not place.file("far", image.id).exists()

    assert place.audit().findings == [("far", "missing", image.id, "found")]
    assert place.audit("--repair").findings == [
        ("far", "missing", image.id, "replaced")
    ]

    assert place.file("far", image.id).stat().st_size == SIZE
    assert place.held("far") == sorted([image.id, *healthy])
