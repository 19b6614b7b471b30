"""Bytes under the id of one image that another one has registered as its own."""

import uuid

import pytest
from sqlalchemy import insert

from imageservice.care.mending import Mending
from imageservice.care.pace import Pace
from imageservice.db import copies
from imageservice.db.tables import image_locations
from imageservice.domain.image import Location
from tests.care.place import findings


@pytest.fixture
def orphan(place):
    """Bytes in ``near`` that are no image's, older than those of the image in ``far``."""
    key = str(uuid.uuid4())
    place.file("near", key).write_bytes(b"data")
    return key


@pytest.fixture
def owner(place, orphan):
    """An image in ``far``; ``near`` holds others, too."""
    for _ in range(2):
        place.upload("near")
    return place.upload("far")


@pytest.fixture(
    params=["file://{}/near/{}", "FILE://{}/far/../near/{}", "filesystem://{}/near/{}"]
)
def register(request, place, orphan, owner):
    def register(tools):
        url = request.param.format(place.root, orphan)
        row = copies.row(owner, Location("near", url, {}))
        tools.inventory._database.write(
            lambda connection: connection.execute(insert(image_locations), row)
        )

    return register


def test_what_was_registered_after_the_rows_were_read_is_no_orphan(place, register):
    with place.tools() as tools:
        registered = []

        def progress(doing, count):
            if doing == "copies" and not registered:
                registered.append(register(tools))

        found = list(findings(tools, "near", progress))

    assert registered
    assert found == []


def test_what_was_registered_after_it_was_found_is_kept(place, orphan, owner, register):
    with place.tools() as tools:
        (finding,) = findings(tools, "near")
        register(tools)

        done = Mending(tools, Pace(), dry_run=False).mend(finding)

    assert (done.kind, done.image_id, done.outcome) == ("orphan", orphan, "kept")
    assert "got a location" in done.reason
    assert place.file("near", orphan).read_bytes() == b"data"
    assert place.stores_of(owner) == ["far", "near"]


def test_what_lies_under_an_image_that_is_elsewhere_may_be_anothers(place, owner):
    other = place.upload("far")
    place.file("near", other).write_bytes(b"data")
    place.upload("near")
    with place.tools() as tools:
        found = {each.image_id: each for each in findings(tools, "near")}
        row = copies.row(owner, Location("near", found[other].url, {}))
        tools.inventory._database.write(
            lambda connection: connection.execute(insert(image_locations), row)
        )

        done = Mending(tools, Pace(), dry_run=False).mend(found[other])

    assert done.outcome == "kept"
    assert place.file("near", other).exists()
    assert place.audit("--store", "far").code == 0  # and no lease is left
