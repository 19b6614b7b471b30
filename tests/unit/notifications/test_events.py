"""Where events go."""

import logging

import pytest

from imageservice.notifications import events


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
    assert events.Enabled([], disabled).wants(event_type) is wanted


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
