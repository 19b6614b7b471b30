"""Readers nest, and each stops what it is there to stop."""

import io

import pytest

from imageservice import errors
from imageservice.data import readers
from imageservice.data.blocks import fill_up, filler
from imageservice.stores.testing import Stream, pattern

TOO_BIG = errors.ImageSizeLimit(image_id="i1", maximum=10)


class Trickle:
    """Gives a byte at a time, by ``readinto`` only."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readinto(self, buffer):
        return self._data.readinto(buffer[:1])


def drain(reader, piece=7) -> bytes:
    found = b""
    while block := reader.read(piece):
        assert len(block) <= piece
        found += block
    return found


def fill_all(reader) -> bytes:
    buffer = memoryview(bytearray(100))
    return bytes(buffer[: fill_up(filler(reader), buffer)])


@pytest.mark.parametrize("take", [drain, fill_all], ids=["read", "readinto"])
@pytest.mark.parametrize("inner", [io.BytesIO, Trickle, Stream])
def test_nested_readers_change_no_byte(inner, take):
    data = pattern(50)
    reader = readers.Source(inner(data))
    reader = readers.Limited(reader, 50, TOO_BIG)
    reader = readers.Announced(reader, 50)
    reader = readers.Guarded(reader, lambda: None)

    assert take(reader) == data


@pytest.mark.parametrize("take", [drain, fill_all], ids=["read", "readinto"])
def test_one_byte_too_much_raises_the_given_error(take):
    with pytest.raises(errors.ImageSizeLimit):
        take(readers.Limited(io.BytesIO(bytes(11)), 10, TOO_BIG))


def test_the_limit_itself_is_allowed():
    assert len(drain(readers.Limited(io.BytesIO(bytes(10)), 10, TOO_BIG))) == 10


class Room:
    """So many bytes of room; remembers what was asked for."""

    def __init__(self, left):
        self.left = left
        self.asked = []

    def grow(self, need, wish):
        self.asked.append((need, wish))
        if need > self.left:
            raise TOO_BIG
        granted = min(wish, self.left)
        self.left -= granted
        return granted


def test_no_byte_passes_for_which_there_is_no_room():
    room = Room(10)

    assert len(drain(readers.Reserving(io.BytesIO(bytes(10)), room.grow))) == 10
    with pytest.raises(errors.ImageSizeLimit):
        drain(readers.Reserving(io.BytesIO(b"x"), room.grow))


def test_no_room_is_asked_for_without_bytes():
    room = Room(0)

    assert drain(readers.Reserving(io.BytesIO(), room.grow)) == b""
    assert room.asked == []


def test_reservations_grow_with_what_has_come():
    room = Room(2**50)
    reserving = readers.Reserving(io.BytesIO(), room.grow)

    for _ in range(4 * 2**30 // 2**20):
        reserving.passed(2**20)

    wishes = [wish for _, wish in room.asked]
    assert wishes[0] == readers.Reserving.LEAST
    assert max(wishes) == readers.Reserving.MOST
    assert len(wishes) < 15


@pytest.mark.parametrize("announced", [0, 9, 11, -1])
def test_other_than_the_announced_size_is_refused(announced):
    with pytest.raises(errors.SizeMismatch):
        drain(readers.Announced(io.BytesIO(bytes(10)), announced))


def test_too_much_is_refused_before_the_end():
    endless = Stream(bytes(100), at=20, then=lambda: pytest.fail("read on"))

    with pytest.raises(errors.SizeMismatch):
        drain(readers.Announced(endless, 10))


def test_nothing_may_be_announced_and_come():
    assert drain(readers.Announced(io.BytesIO(b""), 0)) == b""


def test_a_check_stops_the_stream():
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 3:
            raise errors.LeaseLost(image_id="i1")

    with pytest.raises(errors.LeaseLost):
        drain(readers.Guarded(io.BytesIO(bytes(100)), check))
    assert len(calls) == 3


@pytest.mark.parametrize(
    "error", [ConnectionResetError, TimeoutError, EOFError, ValueError]
)
def test_a_broken_connection_is_the_clients_doing(error):
    class Broken:
        def read(self, size):
            raise error("reset")

    with pytest.raises(errors.BodyBroken, match="reset"):
        drain(readers.Source(Broken()))
