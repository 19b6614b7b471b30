"""Where events go."""

import logging

import pytest

from imageservice import errors, events


@pytest.mark.parametrize(
    ("disabled", "event_type", "wanted"),
    [
        pytest.param(["image.create"], "image.create", False, id="the-event"),
        pytest.param(["image"], "image.member.create", False, id="the-whole-group"),
        pytest.param(["image.member"], "image.member.create", False, id="inner-group"),
        pytest.param(["image.member"], "image.create", True, id="another-group"),
        pytest.param(["image.mem"], "image.member.create", True, id="part-of-a-word"),
        pytest.param([], "image.create", True, id="nothing-disabled"),
    ],
)
def test_groups_are_silenced_by_the_front_of_their_name(disabled, event_type, wanted):
    assert events.Log("image.host", disabled).wants(event_type) is wanted


def test_the_log_gets_one_line_with_the_ids(caplog):
    caplog.set_level(logging.INFO)
    payload = {"id": "i1", "status": "active", "name": "not\nthis", "owner": "p"}

    events.Log("image.host").emit("image.create", payload)

    [record] = caplog.records
    assert record.getMessage() == (
        "image.create from image.host: id=i1 owner=p status=active"
    )


def test_an_error_is_logged_as_one(caplog):
    events.Log("image.host").emit("image.upload", "the store is full", "ERROR")

    assert caplog.records[0].levelname == "ERROR"
    assert "the store is full" in caplog.text


@pytest.mark.parametrize("drivers", [[], ["noop"]])
def test_without_a_driver_nobody_listens(drivers):
    assert not events.configured(drivers, "p", []).wants("image.create")


def test_the_log_driver_writes():
    assert events.configured(["noop", "log"], "p", []).wants("image.create")


def test_a_driver_that_is_not_there_ends_the_start():
    with pytest.raises(errors.Misconfigured, match="'messagingv2' is not supported"):
        events.configured(["messagingv2"], "p", [])
