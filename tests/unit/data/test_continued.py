"""Bytes that a server sends as a file, and that go on when the file breaks."""

import pytest

from imageservice import errors
from imageservice.data.continued import Continued
from imageservice.data.watched import Counted


class Chunks:
    def __init__(self, *chunks):
        self._chunks = chunks
        self.is_closed = False

    def __iter__(self):
        return iter(self._chunks)

    def close(self):
        self.is_closed = True


class File(Chunks):
    file = (7, 0, 10)


def no_more(passed):
    raise errors.NoData(image_id="i1")


@pytest.fixture
def asked():
    return []


@pytest.fixture
def continued(asked):
    def following(passed):
        asked.append(passed)
        return Chunks(b"rest")

    return Continued(File(b"never"), following, 10)


def test_a_file_is_offered_to_the_server(continued):
    assert continued.file == (7, 0, 10)
    with pytest.raises(AttributeError):
        _ = Continued(Chunks(b"no file"), no_more, 7).file


def test_what_was_not_sent_comes_from_the_next_copy(continued, asked):
    continued.sent(2)
    continued.sent(4)

    assert list(continued.rest()) == [b"rest"]
    assert asked == [6]


def test_whoever_counts_counts_both(continued, asked):
    counts = []
    counted = Counted(continued, counts.append)
    counted.sent(6)

    assert list(counted.rest()) == [b"rest"]
    counted.close()

    assert (asked, counts) == ([6], [10])


def test_a_server_can_tell_that_there_is_no_other_copy():
    counted = Counted(File(b"alone"), lambda count: None)
    with pytest.raises(AttributeError):
        _ = counted.rest


def test_trouble_behind_the_last_byte_is_none():
    class Late(Chunks):
        def __iter__(self):
            yield b"all"
            raise errors.StoreUnavailable(store="s", reason="late")

    assert list(Continued(Late(), no_more, 3)) == [b"all"]


def test_the_copy_that_is_open_is_closed(asked):
    first = File(b"x")
    last = Chunks(b"y")
    continued = Continued(first, lambda passed: last, 2)
    continued.rest()

    continued.close()

    assert (first.is_closed, last.is_closed) == (True, True)
