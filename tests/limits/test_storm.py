"""Registered limits hold however many requests come at once (✗58)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from imageservice.db.usage import Used
from tests.conftest import StartDaemon
from tests.hammer.samples import Samples, stored_bytes, used
from tests.identity.keystone import Keystone
from tests.identity.limits import Limits
from tests.limits.people import MIB, Project

DATABASES = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.slow),
    pytest.param("mysql", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("database", DATABASES)
def test_of_a_hundred_images_and_nine_uploads_at_once_as_many_as_allowed_are_let_in(
    limits: Limits, keystone: Keystone, start_daemon: StartDaemon, database: str
) -> None:
    options = limits.options()
    options["DEFAULT"]["workers"] = 4
    daemon = start_daemon(options, database=database)
    owner = Project(daemon, keystone.project("owner"))
    limits.set("image_count_total", 20)
    limits.set("image_size_total", 10)
    samples = Samples(daemon, owner.id)

    with ThreadPoolExecutor(32) as pool, samples.taken():
        created = list(pool.map(lambda _: owner.create(), range(100)))
        ids = [answer.json()["id"] for answer in created if answer.status_code == 201]
        uploaded = list(pool.map(lambda each: owner.upload(each, 3 * MIB), ids[:9]))

    assert len(ids) == 20
    assert [a.status_code for a in created].count(413) == 80
    assert all("image_count_total" in a.text for a in created if a.status_code == 413)
    assert sorted(a.status_code for a in uploaded) == [204] * 3 + [413] * 6
    assert samples.charged == stored_bytes(daemon.images) == 9 * MIB
    assert used(daemon, owner.id) == Used(images=20, bytes=9 * MIB)
    assert owner.usage()["image_count_total"] == (20, 20)
    assert owner.usage()["image_size_total"] == (9, 10)
    owner.delete(ids[0])
    assert owner.create().status_code == 201
    assert owner.create().status_code == 413


def test_one_upload_at_once_lets_one_in_and_none_lets_in_none(
    limits: Limits, keystone: Keystone, start_daemon: StartDaemon
) -> None:
    options = limits.options()
    options["DEFAULT"]["workers"] = 4
    daemon = start_daemon(options)
    owner = Project(daemon, keystone.project("owner"))
    limits.set("image_count_uploading", 0)
    image = owner.image()
    assert owner.upload(image, MIB).status_code == 413
    limits.set("image_count_uploading", 1)
    assert owner.upload(image, MIB).status_code == 204
    assert owner.usage()["image_count_uploading"] == (0, 1)
