"""What operators see while a command goes on, on a terminal and in a log."""

import io

import pytest

from imageservice.care.report import LINE_S, REDRAW_S, Progress, size, table


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_terminal_has_one_line_that_is_redrawn_and_goes(clock):
    stream = Terminal()
    progress = Progress(stream, clock)

    progress("ten images")
    progress("too soon to be seen")
    clock.now += REDRAW_S
    progress("11")
    progress.clear()

    shown = stream.getvalue().split("\r")
    assert shown == ["", "ten images", "11        ", "  ", ""]


def test_a_log_has_a_line_now_and_then(clock):
    stream = io.StringIO()
    progress = Progress(stream, clock)

    progress("begun")
    for _ in range(2):
        clock.now += LINE_S
        progress(f"at {clock.now}")
        progress("too soon")
    progress.clear()

    assert stream.getvalue() == "at 130.0\nat 160.0\n"


def test_a_table_has_numbers_to_the_right():
    rows = [{"store": "a", "rows": 5}, {"store": "longer", "rows": 1234567}]

    assert table(rows).splitlines() == [
        "store      rows",
        "a             5",
        "longer  1234567",
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (2**20, "1.0 MiB"),
        (5 * 2**40, "5120.0 GiB"),
    ],
)
def test_sizes_are_for_people(count, text):
    assert size(count) == text
