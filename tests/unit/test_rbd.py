"""Names, locations and options of the rbd store, without a cluster."""

import sys

import pytest

from imageservice import errors
from imageservice.stores.rbd import bindings, names

ID = "7b0b8d2e-7a5c-4f43-a7e5-1c0c2f8f4a11"
FSID = "c0ffee00-7a5c-4f43-a7e5-1c0c2f8f4a11"


@pytest.mark.parametrize("key", [ID, "a b", "per%2Fcent", "a+b", "snöw"])
def test_a_location_leads_back_to_its_key(key):
    url = names.url(FSID, "images", key)

    assert names.parse("s", url) == (key, FSID, "images", "snap")
    assert url.isascii()


def test_locations_have_the_form_that_nova_and_cinder_clone_from():
    assert names.url(FSID, "images", ID) == f"rbd://{FSID}/images/{ID}/snap"


def test_the_old_short_location_is_understood():
    assert names.parse("s", f"rbd://{ID}") == (ID, None, None, None)


@pytest.mark.parametrize(
    "url",
    [
        "rbd://",
        "rbd:nonsense",
        f"rbd://{FSID}/images/{ID}",
        f"rbd://{FSID}/images/{ID}/other",
        f"rbd://{FSID}/images/{ID}/snap/",
        f"rbd://{FSID}/images//snap",
        f"rbd://{FSID}/images/%2E%2E/snap",
        f"rbd://{FSID}/images/other%2Fpool/snap",
        f"rbd://{FSID}/images/key%40snap/snap",
        f"rbd://{FSID}/images/new%0Aline/snap",
        f"s3://{FSID}/images/{ID}/snap",
    ],
)
def test_what_is_no_location_is_refused(url):
    with pytest.raises(errors.LocationInvalid):
        names.parse("s", url)


def test_parts_belong_to_one_key_only():
    part = names.temporary("a.b")

    for name in (part, names.fenced(part)):
        assert names.is_part_of(name, "a.b")
        assert not names.is_part_of(name, "a")
    assert not names.is_part_of("a.b", "a.b")
    assert names.is_fenced(names.fenced(part))
    assert not names.is_fenced(part)


def test_a_missing_library_names_its_package(monkeypatch):
    monkeypatch.setattr(bindings, "FOLDERS", ())
    for name in ("rados", "rbd"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [])

    with pytest.raises(errors.Misconfigured, match="python3-rbd"):
        bindings.load("fast")
