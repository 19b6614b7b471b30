"""Files that the kernel sends: every byte is counted, also for a client that leaves."""

import os

import pytest

from imageservice.wsgi import files, threads
from imageservice.wsgi.transport import Gone


class Client:
    """Takes ``room`` bytes, at most 1000 at a time, and then hangs up."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.got = b""

    def sendfile(self, descriptor: int, offset: int, count: int) -> int | None:
        if len(self.got) >= self.room:
            raise Gone("hung up")
        data = os.pread(descriptor, min(count, 1000), offset)
        self.got += data
        return len(data)


@pytest.fixture
def opened(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(os.urandom(4096))
    descriptor = os.open(path, os.O_RDONLY)
    yield files.OpenFile(descriptor, 96, 4000)
    os.close(descriptor)


def test_what_was_sent_is_told_as_it_goes(opened):
    told = []

    files.send(Client(4000), threads.Workers(), opened, told.append)

    assert told == [1000] * 4


def test_a_client_that_leaves_does_not_take_the_count_along(opened):
    told = []

    with pytest.raises(Gone):
        files.send(Client(2000), threads.Workers(), opened, told.append)

    assert sum(told) == 2000
