"""An image that is being written, under a name that nobody reads."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from imageservice import errors
from imageservice.stores.disk import dense
from imageservice.stores.driver import BLOCK, Buffer
from imageservice.stores.rbd import gate, names, removal
from imageservice.stores.rbd.cluster import Cluster, Failure, Mutex, Session
from imageservice.stores.rbd.flight import Flight

PIECE = 2 * BLOCK
"""Bytes given to librbd at a time, at most; no more than an object of the image has."""

WINDOW = 6 * PIECE
"""Bytes under way, in copies of librbd's: with the piece that fills, 14 MiB for a write.

To a cluster that is slower than the client, so that they are always under way, a transfer
takes 44 MiB with everything else; with 16 MiB in pieces of 4 it took 64."""

MAX_STEP = 8 * 1024**3
"""Bytes by which an image of unknown size grows at most."""


class Part:
    """``fill`` runs in the request, everything else in native threads, one at a time.

    ``abandon`` may come while another method is still under way in its thread, because
    its request was given up; it waits for that.
    """

    def __init__(self, cluster: Cluster, key: str, chunk: int, *, thin: bool) -> None:
        self.name = names.temporary(key)
        self.size = 0  # bytes taken so far
        self.unsure = False  # nobody knows whether it was published
        self._is_published = False
        self._cluster = cluster
        self._key = key
        self._chunk = chunk
        self._thin = thin
        self._buffer = bytearray(min(chunk, PIECE))
        self._filled = 0
        self._room = 0  # bytes: the image's size
        self._image: Any = None  # goes before the session that it needs
        self._objects: removal.Objects | None = None
        self._session: Session | None = None
        self._flight = Flight(2 * cluster.address.timeout_s)
        self._under_way: dict[int, int] = {}  # number → bytes
        self._mutex = Mutex()
        self._abandoned = False

    @property
    def wanted(self) -> int:
        """Bytes that ``fill`` takes next, at least 1."""
        return min(BLOCK, len(self._buffer) - self._filled)

    def fill(self, block: Buffer) -> bool:
        """Take a block of at most ``wanted`` bytes; True when ``send`` has to come next."""
        end = self._filled + len(block)
        self._buffer[self._filled : end] = block
        self._filled = end
        return end == len(self._buffer)

    def open(self, size: int | None) -> None:
        """Create the image. Raises KeyExists."""
        with self._step():
            session = self._session = self._cluster.session()
            rbd, pool = self._cluster.rbd, session.pool
            self._refuse_if_exists(session)
            removal.prepare(self._cluster, session)
            self._room = 2 * self._chunk if size is None else size
            order = self._chunk.bit_length() - 1
            # No lock of librbd's: names say who may write (docs/adr/0018-rbd.md), and one
            # left by a handle that could not be closed would keep this process away.
            rbd.RBD().create(
                pool,
                self.name,
                self._room,
                order,
                old_format=False,
                features=rbd.RBD_FEATURE_LAYERING,
            )
            self._image = rbd.Image(pool, self.name)
            self._objects = removal.objects(self._image)

    def send(self) -> None:
        """Start to write what was filled; waits until there is room in the window."""
        with self._step():
            self._send()

    def _send(self) -> None:
        end = self.size + self._filled
        if end > self._room:
            self._room = max(end, self._room + min(max(self._room, end), MAX_STEP))
            self._image.resize(self._room)
        view = memoryview(self._buffer)[: self._filled]
        for offset, run in dense(view) if self._thin else [(0, view)]:
            while self._under_way and self._load() + len(run) > WINDOW:
                self._land()
            # librbd has copied the bytes when the call returns (cluster.SETTINGS). It
            # takes a whole buffer, but no part of one.
            whole = len(run) == len(self._buffer)
            number = self._flight.start(
                self._write, self.size + offset, self._buffer if whole else bytes(run)
            )
            self._under_way[number] = len(run)
        self.size, self._filled = end, 0

    def _write(self, offset: int, data: Buffer, done: Callable[..., None]) -> object:
        return self._image.aio_write(data, offset, done)

    def _load(self) -> int:
        return sum(self._under_way.values())

    def _land(self) -> None:
        number, result, _ = self._flight.land()
        self._under_way.pop(number)
        if result < 0:
            raise Failure(result)

    def publish(self) -> str:
        """Make it visible under its key, whole and safe; returns the cluster's id.

        Raises KeyExists, and LeaseLost when the write was fenced off.
        """
        with self._step():
            if self._filled:
                self._send()
            while self._under_way:
                self._land()
            session, image = self._session, self._image
            assert session is not None
            if self._room != self.size:
                image.resize(self.size)
            image.flush()
            image.create_snap(names.SNAPSHOT)
            image.protect_snap(names.SNAPSHOT)
            self._close()
            with gate.passed(self._cluster, session, self._key):
                self._name_it(session)
            return session.fsid

    def _name_it(self, session: Session) -> None:
        rbd = self._cluster.rbd
        self._refuse_if_exists(session)
        self.unsure = True
        try:
            rbd.RBD().rename(session.pool, self.name, self._key)
        except rbd.ImageNotFound as error:
            self.unsure = False
            raise errors.LeaseLost(image_id=self._key) from error
        self._is_published, self.unsure = True, False

    def _refuse_if_exists(self, session: Session) -> None:
        rbd = self._cluster.rbd
        with contextlib.suppress(rbd.ImageNotFound):
            rbd.Image(session.pool, self._key, read_only=True).close()
            raise errors.KeyExists(store=self._cluster.store, key=self._key)

    def _close(self) -> None:
        image, self._image = self._image, None
        if image is not None:
            image.close()

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        limit = 4 * self._cluster.address.timeout_s
        with self._cluster.translated(self._key), self._mutex.held(limit):
            if self._abandoned:
                raise errors.LeaseLost(image_id=self._key)
            yield

    def abandon(self) -> None:
        """Leave nothing of it. Raises an error when something could not be removed."""
        limit = 4 * self._cluster.address.timeout_s
        with self._cluster.translated(self._key), self._mutex.held(limit):
            self._abandoned = True
            if self._session is None:
                return
            while len(self._flight):
                self._flight.land()
            with contextlib.suppress(self._cluster.rbd.Error):
                self._close()
        # What was published, and nobody was left to hear of it, is ours too.
        published = (self._key,) if self._is_published else ()
        is_gone = True
        for name in (self.name, names.fenced(self.name), *published):
            with contextlib.suppress(errors.KeyNotFound):
                removal.destroy(self._cluster, name, self._key)
                is_gone = False
        # Somebody else removed it, and may not have seen the last of what we wrote.
        if is_gone and self._objects:
            count = -(-(self.size + self._filled) // self._chunk)
            removal.sweep(self._cluster, self._objects, count)
