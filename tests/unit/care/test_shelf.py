"""What a store was found to hold, and which of it no row names."""

import uuid

import pytest

from imageservice.care.shelf import Shelf, Unknown
from imageservice.stores.driver import Listed

KEY, OTHER = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


@pytest.fixture
def shelf():
    with Shelf() as shelf:
        yield shelf


def listed(key=KEY, url="u", age_s=10.0):
    return Listed(key, url, 4, age_s)


def fill(shelf, *objects):
    assert list(shelf.fill(objects)) == [len(objects)]


def test_what_a_row_names_is_known(shelf):
    fill(shelf, listed(), listed(OTHER, "v"))

    assert shelf.know("u")
    assert not shelf.know("w")

    assert [each.key for each in shelf.unknown(0)] == [OTHER]


def test_what_lies_under_the_key_of_a_known_place_is_left(shelf):
    fill(shelf, listed(), listed(url=""), listed(url="elsewhere"))

    shelf.know("u")

    assert list(shelf.unknown(0)) == []


@pytest.mark.parametrize(
    ("age_s", "min_age_s", "expected"),
    [
        pytest.param(10, 9, Unknown(1, 0, 0), id="old"),
        pytest.param(10, 11, Unknown(0, 1, 0), id="young"),
        pytest.param(None, 0, Unknown(0, 1, 0), id="unknown"),
        # By clocks that tell seconds only.
        pytest.param(-0.9, 0, Unknown(1, 0, 0), id="new"),
        pytest.param(-3600, 1, Unknown(0, 1, 0), id="to-come"),
    ],
)
def test_only_what_is_old_enough_is_unknown(shelf, age_s, min_age_s, expected):
    fill(shelf, listed(age_s=age_s))

    assert shelf.count(min_age_s) == expected
    assert len(list(shelf.unknown(min_age_s))) == expected.old


def test_what_has_no_name_of_an_image_is_nobodys(shelf):
    fill(shelf, listed("README"), listed("not\udcffutf-8", "v"))

    assert shelf.count(0) == Unknown(0, 0, 2)
    assert list(shelf.unknown(0)) == []
