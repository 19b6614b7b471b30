"""What a project uses of its unified limits, and whether it may upload more."""

import pytest

from imageservice import errors
from imageservice.db.usage import Used
from imageservice.domain.allowance import MIB, NOTHING, UNLIMITED, Allowance
from imageservice.services.interfaces import Use
from imageservice.services.usage import Usage


class Of:
    """Answers the same for every project, and remembers for which one it was asked."""

    def __init__(self, value):
        self.value, self.asked = value, None

    def of(self, project_id):
        self.asked = project_id
        return self.value


USED = Used(images=3, uploading=1, bytes=5 * MIB - 1, reserved=2)


def usage(allowance, row=USED):
    return Usage(Of(row), Of(allowance))


def test_stored_and_reserved_bytes_are_shown_in_whole_mib(a_caller):
    shown = usage(Allowance(20, 100 * MIB, 5, 10 * MIB)).show(a_caller(), None)

    assert shown == {
        "image_size_total": Use(5, 100),
        "image_stage_total": Use(0, 10),
        "image_count_total": Use(3, 20),
        "image_count_uploading": Use(1, 5),
    }


def test_what_is_not_limited_is_shown_as_minus_one(a_caller):
    shown = usage(UNLIMITED).show(a_caller(), None)

    assert {use.limit for use in shown.values()} == {-1}


def test_it_is_about_the_callers_project(a_caller):
    rows, limits = Of(Used(0, 0, 0, 0)), Of(UNLIMITED)

    Usage(rows, limits).show(a_caller("mine"), None)

    assert (rows.asked, limits.asked) == ("mine", "mine")


def test_without_unified_limits_there_is_nothing_to_tell(a_caller):
    off = Usage(Of(Used(9, 9, 9, 9)), None)

    assert off.show(a_caller(), None) == {}
    off.room(a_caller(), None, 2**60)


def test_without_a_project_there_is_nothing_to_tell(a_caller):
    assert usage(NOTHING).show(a_caller(None), None) == {}
    usage(NOTHING).room(a_caller(None), None, 2**60)


def test_there_is_room_up_to_the_last_byte(a_caller):
    limits = Allowance(None, 10 * MIB, None, None)
    row = Used(images=1, uploading=0, bytes=9 * MIB, reserved=0)

    usage(limits, row).room(a_caller(), None, MIB)
    with pytest.raises(errors.ProjectLimit) as caught:
        usage(limits, row).room(a_caller("mine"), None, MIB + 1)

    said = str(caught.value)
    assert "image_size_total" in said
    assert "mine" in said


def test_what_others_have_reserved_is_no_room(a_caller):
    limits = Allowance(None, 10 * MIB, None, None)
    row = Used(images=1, uploading=1, bytes=0, reserved=10 * MIB)

    with pytest.raises(errors.ProjectLimit):
        usage(limits, row).room(a_caller(), None, 1)


def test_an_unknown_size_may_come_into_a_project_that_is_not_over_its_limit(a_caller):
    limits = Allowance(None, MIB, None, None)

    usage(limits, Used(1, 0, MIB, 0)).room(a_caller(), None, None)
    with pytest.raises(errors.ProjectLimit):
        usage(limits, Used(1, 0, MIB + 1, 0)).room(a_caller(), None, None)


def test_who_has_no_limit_may_upload_any_size(a_caller):
    usage(UNLIMITED).room(a_caller(), None, 2**62)
