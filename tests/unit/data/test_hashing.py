"""Both digests are right, whatever the stream and the threads do, and no thread stays."""

import contextlib
import hashlib
import io
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from imageservice import errors
from imageservice.data.hashing import BUFFERS, Hashing
from imageservice.stores.driver import BLOCK
from imageservice.stores.testing import EDGES, Stream, Threads, pattern, raising


class Watched(Threads):
    """Knows which of the jobs it started still run; they begin when ``go`` is set."""

    def __init__(self) -> None:
        self.jobs: list[threading.Thread] = []
        self.go = threading.Event()
        self.go.set()
        self.swallows: tuple[type[Exception], ...] = ()

    def start(self, function, /, *args):
        def job():
            self.go.wait(20)
            with contextlib.suppress(*self.swallows):
                function(*args)

        thread = threading.Thread(target=job, daemon=True)
        self.jobs.append(thread)
        thread.start()

    def all_ended(self) -> bool:
        for job in self.jobs:
            job.join(20)
        return not any(job.is_alive() for job in self.jobs)


@pytest.fixture
def workers() -> Watched:
    return Watched()


def drain(reader, piece=BLOCK) -> bytes:
    found = bytearray()
    while block := reader.read(piece):
        found += block
    return bytes(found)


@pytest.mark.parametrize("piece", [BLOCK, BLOCK // 3, -1, 4 * BLOCK])
@pytest.mark.parametrize("size", [*EDGES, 20_000, 9 * BLOCK])
def test_digests_and_bytes_are_right(workers, size, piece):
    data = pattern(size)

    with Hashing(Stream(data, piece=100_000), "sha512", workers) as hashing:
        assert drain(hashing, piece) == data
        found = hashing.result()

    assert found.size == size
    assert found.md5 == hashlib.md5(data).hexdigest()
    assert found.value == hashlib.sha512(data).hexdigest()
    assert workers.all_ended()


def test_any_algorithm_of_hashlib_will_do(workers):
    with Hashing(io.BytesIO(b"data"), "sha3_256", workers) as hashing:
        drain(hashing)

        assert hashing.result().value == hashlib.sha3_256(b"data").hexdigest()


def test_less_than_a_block_starts_no_thread(workers):
    with Hashing(Stream(pattern(BLOCK - 1)), "sha512", workers) as hashing:
        drain(hashing)
        hashing.result()

    assert workers.jobs == []


@pytest.mark.parametrize("blocks", [1, 2, BUFFERS + 2])
def test_an_upload_given_up_anywhere_ends_its_threads(workers, blocks):
    with Hashing(Stream(bytes(20 * BLOCK)), "sha512", workers) as hashing:
        for _ in range(blocks):
            hashing.read(BLOCK)

    assert len(workers.jobs) == 2
    assert workers.all_ended()


def test_a_broken_stream_ends_the_threads(workers):
    broken = Stream(bytes(9 * BLOCK), at=5 * BLOCK, then=raising(OSError("gone")))

    with (
        pytest.raises(OSError, match="gone"),
        Hashing(broken, "sha512", workers) as hashing,
    ):
        drain(hashing)

    assert workers.all_ended()


def test_a_buffer_is_not_filled_anew_before_the_digests_are_done_with_it(workers):
    workers.go.clear()
    data = os.urandom((BUFFERS + 3) * BLOCK)
    with Hashing(Stream(data), "sha512", workers) as hashing:
        for _ in range(BUFFERS):
            hashing.read(BLOCK)  # all buffers full, nothing digested
        threading.Timer(0.05, workers.go.set).start()
        drain(hashing)

        assert hashing.result().value == hashlib.sha512(data).hexdigest()


def test_a_digest_that_fails_fails_the_upload(workers):
    class Failing:
        def update(self, block):
            raise ZeroDivisionError

        def verify(self):
            """It has seen nothing to complain of."""

    workers.swallows = (ZeroDivisionError,)
    with (
        Hashing(Stream(bytes(20 * BLOCK)), "sha512", workers, Failing()) as hashing,
        pytest.raises(RuntimeError, match="ended early"),
    ):
        drain(hashing)


def test_an_error_at_the_very_end_reaches_the_driver(workers):
    refusal = errors.SizeMismatch(received=1, announced=2)
    stream = Stream(bytes(2 * BLOCK), then=raising(refusal))

    with (
        Hashing(stream, "sha512", workers) as hashing,
        pytest.raises(errors.SizeMismatch),
    ):
        drain(hashing)


def test_uploads_under_eventlet_agree_and_hold_up_nobody():
    program = textwrap.dedent("""
        import hashlib, os, time
        from imageservice.wsgi import server  # patches the process
        import eventlet
        from imageservice.data.hashing import Hashing
        from imageservice.stores.driver import BLOCK
        from imageservice.stores.testing import Stream

        workers, data = server.workers(), os.urandom(24 * BLOCK)
        late = [0.0]

        def tick():
            while True:
                before = time.monotonic()
                eventlet.sleep(0.001)
                late.append(time.monotonic() - before)

        def upload(_):
            with Hashing(Stream(data), "sha512", workers) as hashing:
                while hashing.read(BLOCK):
                    pass
                return hashing.result()

        ticker = eventlet.spawn(tick)
        found = list(eventlet.GreenPool(4).imap(upload, range(4)))
        assert {digests.value for digests in found} == {hashlib.sha512(data).hexdigest()}
        assert {digests.md5 for digests in found} == {hashlib.md5(data).hexdigest()}
        assert len(late) > 10, len(late)
        print("done", max(late))
    """)

    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.stdout.startswith("done"), ran.stderr


class Dying(Threads):
    """Its native threads end before they have digested anything."""

    def start(self, function, /, *args):
        function.__self__.put(None)  # what ends a lane
        super().start(function, *args)


def test_digests_that_fail_fail_the_read_so_that_no_driver_stores_the_data():
    with Hashing(Stream(pattern(2 * BLOCK)), "sha512", Dying()) as hashing:
        blocks = [len(hashing.read()), len(hashing.read())]

        with pytest.raises(RuntimeError):
            hashing.read()  # the end, after which a driver makes the data visible

    assert blocks == [BLOCK, BLOCK]
