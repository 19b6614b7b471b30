"""What a start does to stores: new ones are set up, old ones never made anew."""

import datetime

import pytest

from imageservice import config, errors, service
from imageservice.db import schema
from imageservice.db.engine import Database
from imageservice.db.images import Images
from imageservice.services.interfaces import Stored
from imageservice.stores.folders import MARK
from imageservice.wsgi import threads
from tests.jobs import begin

NOW = datetime.datetime(2026, 1, 1)


@pytest.fixture
def conf(tmp_path):
    url = f"sqlite:///{tmp_path}/rows.sqlite"
    (tmp_path / "api.conf").write_text(
        f"[database]\nconnection = {url}\n"
        "[DEFAULT]\nenabled_backends = shelf:file\n"
        "[glance_store]\ndefault_backend = shelf\n"
        f"[shelf]\nfilesystem_store_datadir = {tmp_path}/images\n"
    )
    database = Database(url)
    schema.sync(database)
    database.close()
    return config.load([tmp_path / "api.conf"])


@pytest.fixture
def images(conf):
    database = Database(config.database_url(conf))
    yield Images(database)
    database.close()


def test_a_store_without_images_is_set_up(conf, tmp_path):
    begin(service.build(conf, threads.Workers()).jobs)

    assert (tmp_path / "images" / MARK).exists()


def test_a_store_with_images_is_never_made_anew(conf, tmp_path, images, an_image):
    image = images.insert(
        an_image(id="11111111-1111-1111-1111-111111111111", status="queued")
    )
    images.claim(image.id, "queued", "saving", "token", "worker", "shelf", NOW)
    stored = Stored(
        f"file://{tmp_path}/images/{image.id}", {}, 1, None, "m", "sha512", "d"
    )
    images.attach("token", image.id, stored, "shelf", NOW)

    begin(service.build(conf, threads.Workers()).jobs)

    assert not (tmp_path / "images").exists()


def test_nor_is_a_store_that_is_being_written_to(conf, tmp_path, images, an_image):
    image = images.insert(
        an_image(id="11111111-1111-1111-1111-111111111111", status="queued")
    )
    images.claim(image.id, "queued", "saving", "token", "worker", "shelf", NOW)

    begin(service.build(conf, threads.Workers()).jobs)

    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x]\ncreate = a,b\n", r"protections\.ini, line 2: one policy"),
        (
            "[x]\ncreate = @\nread = add_image\nupdate = nobodys\ndelete = !\n",
            r"protections\.ini, line 4: there is no policy rule nobodys",
        ),
    ],
    ids=["malformed", "unknown-policy"],
)
def test_a_mistake_in_property_protections_ends_the_start(conf, tmp_path, text, said):
    (tmp_path / "protections.ini").write_text(text)
    conf.set_override("property_protection_file", str(tmp_path / "protections.ini"))
    conf.set_override("property_protection_rule_format", "policies")

    with pytest.raises(errors.Misconfigured, match=said):
        service.build(conf, threads.Workers())


def test_no_store_has_the_id_that_stands_for_this_service(conf, tmp_path):
    path = tmp_path / "api.conf"
    path.write_text(path.read_text().replace("shelf", "proxy"))

    with pytest.raises(errors.Misconfigured, match="rename the store"):
        service.build(config.load([path]), threads.Workers())
