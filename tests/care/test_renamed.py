"""Stores that have got other names, and bytes that have got two: nothing is removed."""

import os

import pytest

from imageservice import config, errors
from imageservice.cmd import manage
from imageservice.db.engine import Database
from imageservice.db.locations import Locations, Move
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.image import Location
from imageservice.service import build
from imageservice.wsgi import threads
from tests import databases
from tests.care.place import Place
from tests.db.factories import LATER
from tests.unit.stores.s3.service import Object, running


@pytest.fixture
def service():
    with running() as service:
        yield service


def options(service):
    return {
        "s3_store_host": f"http://127.0.0.1:{service.port}",
        "s3_store_access_key": "who",
        "s3_store_secret_key": "whose",
        "s3_store_bucket": "images",
        "s3_store_bucket_url_format": "path",
    }


@pytest.fixture
def database_url(tmp_path):
    with databases.ready("sqlite", tmp_path) as url:
        yield url


@pytest.fixture
def place(tmp_path, database_url, service):
    return Place(tmp_path, database_url, ("s3", options(service)))


def rename(place, old, new):
    text = place.conf.read_text()
    place.conf.write_text(
        text.replace(f"{old}:", f"{new}:").replace(f"[{old}]", f"[{new}]")
    )


def test_a_copy_into_a_store_of_another_name_leaves_what_is_there(place, service):
    image = place.upload("far")
    rename(place, "far", "deep")
    service.faults[f"DELETE {image}?uploadId"] = ["503"] * 3

    answer = place.manage("copy", "--to", "deep", "--all")

    assert [line["result"] for line in answer.of("image")] == ["failed"]
    assert list(service.objects) == [image]
    assert service.seen.count(f"POST {image}?uploads") == 1
    assert place.stores_of(image) == ["far"]


def test_a_bad_copy_beside_a_good_one_is_not_written_over_it(
    place, service, database_url
):
    image_id = place.upload("far")
    service.objects["other"] = Object(b"dxta")
    with place.tools() as tools:
        image = tools.images.find(tools.context, image_id)
    other = Location("far", "s3://images/other", {})
    after = image._replace(locations=(*image.locations, other))
    database = Database(database_url)
    Locations(database).relocate(Move(image, after, UNLIMITED), LATER)
    database.close()
    service.faults[f"DELETE {image_id}?uploadId"] = ["503"] * 3

    answer = place.audit("--store", "far", "--digest", "--repair", "--force")

    assert answer.findings == [("far", "content", image_id, "kept")]
    assert sorted(service.objects) == sorted([image_id, "other"])


def delete(place, image_id):
    with place.tools() as tools:
        tools.images.delete(tools.context, tools.images.find(tools.context, image_id))


def test_nothing_counts_as_deleted_while_two_stores_may_have_it(place, service):
    with running() as other:
        text = place.conf.read_text().replace("far:s3", "far:s3, cold:s3")
        section = "".join(f"{k} = {v}\n" for k, v in options(other).items())
        place.conf.write_text(f"{text}[cold]\n{section}")
        image = place.upload("cold")
        rename(place, "cold", "deep")

        with pytest.raises(errors.StoreUnavailable, match="several"):
            delete(place, image)
        assert manage.main(place.words("relocate")) == 0

        assert place.stores_of(image) == ["deep"]
        delete(place, image)
        assert list(other.objects) == []


def test_nothing_counts_as_deleted_that_is_not_where_it_may_be(place):
    image = place.upload("near")
    rename(place, "near", "nearer")
    place.conf.write_text(place.conf.read_text().replace("= near\n", "= nearer\n"))
    place.file("near", image).unlink()

    with pytest.raises(errors.StoreUnavailable, match="no other store"):
        delete(place, image)

    assert manage.main(place.words("relocate")) == 0
    delete(place, image)
    assert place.audit("--store", "nearer").code == 0


class Stop:
    """Ends a job after its first round."""

    def wait(self, timeout):
        return True


def test_a_disk_that_is_not_mounted_is_no_new_store_because_of_its_name(place):
    place.upload("near")
    rename(place, "near", "nearer")
    place.conf.write_text(place.conf.read_text().replace("= near\n", "= nearer\n"))
    (place.root / "near").rename(place.root / "away")
    (place.root / "near").mkdir()

    conf = config.load([str(place.conf)], [], [], "test")
    built = build(conf, threads.Workers())
    first, *_ = built.jobs
    first(Stop())
    built.database.close()

    assert os.listdir(place.root / "near") == []
