"""The status machine (contract images.md §6)."""

import pytest

from imageservice.domain.image import HIDDEN_STATUSES, TRANSITIONS, require_transition


def test_a_change_of_status_that_is_not_in_the_table_is_a_bug():
    require_transition("queued", "saving")

    with pytest.raises(ValueError, match="from active to queued"):
        require_transition("active", "queued")


def test_data_never_changes_once_it_is_there():
    for status in ("active", "deactivated"):
        assert not TRANSITIONS[status] & {"queued", "saving", "uploading", "importing"}


def test_every_image_can_be_deleted_in_the_end():
    for status in TRANSITIONS.keys() - {"deleted"}:
        assert "deleted" in TRANSITIONS[status]


def test_what_is_hidden_comes_back_only_by_undoing_a_deletion():
    back = {s for s in HIDDEN_STATUSES if TRANSITIONS[s] - HIDDEN_STATUSES}

    assert back == {"pending_delete"}
