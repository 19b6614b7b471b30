"""What a patch may do to an image (contract images.md §8.4)."""

import datetime

import pytest

from imageservice import errors
from imageservice.domain import changes
from imageservice.domain.changes import Change
from imageservice.domain.image import Image

NOW = datetime.datetime(2026, 1, 1)


def an_image(**values: object) -> Image:
    fields = {
        "id": "11111111-2222-3333-4444-555555555555", "name": "old", "status": "queued",
        "visibility": "shared", "protected": False, "os_hidden": False, "owner": "us", "size": None,
        "virtual_size": None, "checksum": None, "os_hash_algo": None, "os_hash_value": None,
        "container_format": None, "disk_format": None, "min_disk": 0, "min_ram": 0,
        "created_at": NOW, "updated_at": NOW, "version": 1, "membership": None,
        "properties": {"colour": "red"}, "tags": ("a",), "locations": (),
    }  # fmt: skip
    return Image(**{**fields, **values})


def applied(image: Image, *wanted: Change, is_admin: bool = False) -> Image:
    return changes.apply(image, wanted, is_admin=is_admin)


def test_changes_are_applied_in_order():
    after = applied(
        an_image(),
        Change("add", "size_class", "big"),
        Change("replace", "size_class", "huge"),
        Change("replace", "name", "new"),
    )

    assert after.properties == {"colour": "red", "size_class": "huge"}
    assert after.name == "new"


def test_the_image_that_was_given_is_not_touched():
    before = an_image()

    applied(before, Change("remove", "colour"))

    assert before.properties == {"colour": "red"}


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "status",
        "size",
        "checksum",
        "os_hash_value",
        "created_at",
        "stores",
        "self",
    ],
)
@pytest.mark.parametrize("operation", ["add", "create", "replace", "remove"])
def test_what_the_service_keeps_can_not_be_written(name, operation):
    with pytest.raises(errors.AttributeReadOnly):
        applied(an_image(), Change(operation, name, "x"), is_admin=True)


@pytest.mark.parametrize("name", ["os_glance", "os_glance_import_task", "deleted"])
def test_reserved_names_are_refused(name):
    with pytest.raises(errors.AttributeReserved):
        applied(an_image(), Change("add", name, "x"), is_admin=True)


@pytest.mark.parametrize("operation", ["add", "replace"])
def test_owner_is_for_admins_by_add_as_by_replace(operation):  # ✗11
    change = Change(operation, "owner", "us")

    with pytest.raises(errors.OwnerChangeForbidden):
        applied(an_image(), change)

    assert applied(an_image(owner="x"), change, is_admin=True).owner == "us"


def test_an_empty_owner_is_no_owner():
    assert (
        applied(an_image(), Change("replace", "owner", ""), is_admin=True).owner is None
    )


def test_base_attributes_may_not_be_removed():
    with pytest.raises(errors.AttributeNotRemovable):
        applied(an_image(), Change("remove", "name"))


@pytest.mark.parametrize("name", ["disk_format", "container_format"])
def test_formats_are_frozen_once_there_is_data_even_for_the_same_value(name):
    active = an_image(status="active", disk_format="raw", container_format="raw")

    with pytest.raises(errors.AttributeFrozen):
        applied(active, Change("replace", name, "raw"))

    assert getattr(applied(an_image(), Change("add", name, "raw")), name) == "raw"


@pytest.mark.parametrize("operation", ["replace", "remove"])
def test_a_missing_property_is_a_conflict(operation):
    with pytest.raises(errors.PropertyMissing):
        applied(an_image(), Change(operation, "shape", "round"))


@pytest.mark.parametrize("name", ["colour", "name"])
def test_create_refuses_what_exists(name):
    with pytest.raises(errors.PropertyExists):
        applied(an_image(), Change("create", name, "x"))


def test_internal_names_are_ordinary_properties():  # ✗13
    names = ("image_id", "member", "extra_properties", "version", "membership")
    after = applied(an_image(), *(Change("add", name, "x") for name in names))

    assert set(names) < set(after.properties)
    assert after.version == 1


def test_tags_are_a_set():
    assert applied(an_image(), Change("replace", "tags", ["b", "a", "b"])).tags == (
        "b",
        "a",
    )
