import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageservice import errors
from imageservice.api import ranges


@pytest.mark.parametrize(
    ("header", "window"),
    [
        ("bytes=0-4", (0, 5)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=9-9", (9, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=0-99", (0, 10)),
        (" bytes= 1-2 ", (1, 3)),
    ],
)
def test_ranges_of_ten_bytes(header, window):
    assert ranges.parse_range(header, 10) == window


@pytest.mark.parametrize(
    "header",
    ["bytes=10-", "bytes=5-3", "bytes=a-b", "items=0-1", "", "bytes=", "bytes=-"]
    + ["bytes=-0", "bytes=0-1-2", "bytes=" + "9" * 5000 + "-", "bytes=²-³"],
)
def test_ranges_that_cannot_be_satisfied(header):
    with pytest.raises(errors.RangeNotSatisfiable):
        ranges.parse_range(header, 10)


def test_no_range_of_an_empty_image_can_be_satisfied():
    with pytest.raises(errors.RangeNotSatisfiable):
        ranges.parse_range("bytes=0-", 0)


@given(st.one_of(st.text(), st.from_regex(r"bytes=\d*-\d*", fullmatch=True)))
def test_whatever_is_sent_a_window_lies_within_the_image(header):
    try:
        start, stop = ranges.parse_range(header, 10)
    except (errors.BadRequest, errors.RangeNotSatisfiable):
        return
    assert 0 <= start < stop <= 10


@pytest.mark.parametrize(
    ("header", "window"),
    [("bytes 1-2/10", (1, 3)), ("bytes 1-2/*", (1, 3)), ("bytes 0-4/5", (0, 5))],
)
def test_content_ranges_of_ten_bytes(header, window):
    assert ranges.parse_content_range(header, 10) == window


@pytest.mark.parametrize(
    "header",
    ["bytes */10", "bytes 1-2/11", "bytes 8-12/*", "bytes 10-11/*", "bytes 3-1/10"]
    + ["bytes=1-2", "", "bytes 1-2", "bytes 0-9/5"],
)
def test_content_ranges_that_cannot_be_satisfied(header):
    with pytest.raises(errors.RangeNotSatisfiable):
        ranges.parse_content_range(header, 10)
