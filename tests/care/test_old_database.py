"""Audits beside a database that is not up to date remove nothing that somebody misses."""

import uuid

import pytest

from imageservice.care.shelf import Shelf
from imageservice.stores.driver import Listed


@pytest.fixture
def restore(place, tmp_path):
    """Brings the database back to where it was when this was asked for."""
    (database,) = tmp_path.glob("*.sqlite")

    def taken():
        backup = database.read_bytes()
        return lambda: database.write_bytes(backup)

    return taken


def strays(place, count):
    for number in range(count):
        place.file("near", str(uuid.UUID(int=number))).write_bytes(b"left")


@pytest.mark.parametrize("older", [3, 2])
def test_half_of_a_store_is_not_removed(place, restore, older):
    for _ in range(older):
        place.upload("near")
    back = restore()
    newer = [place.upload("near") for _ in range(3)]
    back()
    held = place.held("near")

    answer = place.audit("--repair")

    assert answer.code == 1
    assert "objects belong to no image" in answer.of("store")[0]["error"]
    assert (answer.findings, place.held("near")) == ([], held)
    assert len(place.audit("--repair", "--force").findings) == len(newer)


def test_few_that_are_newer_than_all_known_are_kept(place, restore):
    older = [place.upload("near") for _ in range(4)]
    back = restore()
    newer = [place.upload("near") for _ in range(3)]
    back()

    would, done = place.audit("--dry-run"), place.audit("--repair")

    assert would.code == done.code == 3
    expected = sorted(("near", "orphan", image, "kept") for image in newer)
    assert would.findings == done.findings == expected
    assert all("--force" in each["reason"] for each in done.of("finding"))
    assert place.held("near") == sorted(older + newer)
    place.audit("--repair", "--force")
    assert place.held("near") == sorted(older)


def test_more_than_ten_and_one_in_a_hundred_are_refused(place):
    strays(place, 11)
    images = [place.upload("near") for _ in range(12)]

    answer = place.audit("--repair")

    assert answer.code == 1
    assert "11 of its 23 objects" in answer.of("store")[0]["error"]
    assert len(place.held("near")) == 23
    place.file("near", str(uuid.UUID(int=0))).unlink()
    assert place.audit("--repair").code == 0
    assert place.held("near") == sorted(images)


def test_the_newest_that_is_known_says_what_is_newer():
    with Shelf() as shelf:
        listed = [
            Listed(str(n), str(n), 4, age) for n, age in enumerate((9.0, 7.0, 1.0))
        ]
        assert list(shelf.fill(listed)) == [3]

        assert shelf.newest_s() is None
        shelf.know("0")
        shelf.know("1")

        assert shelf.newest_s() == 7.0
