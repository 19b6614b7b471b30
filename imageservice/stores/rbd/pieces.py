"""The bytes of an image, read ahead."""

import logging
import struct
from collections.abc import Callable, Iterator
from typing import Any

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.rbd import names
from imageservice.stores.rbd.cluster import Cluster, Failure, Mutex, Session
from imageservice.stores.rbd.flight import Flight

LOG = logging.getLogger(__name__)

PIECE = 2 * BLOCK
"""Bytes read at a time; never across the border of an object."""

AHEAD = 4
"""Pieces under way. librbd has a copy: 16 MiB for a read."""

SNAPSHOTS = 512 * 1024
"""Bytes in which the list of an image's snapshots has to fit: 8 for each."""


class Guard:
    """Tells whether what was read was there.

    Of an object that is missing librbd reads zeros, as of a hole. So an image that is
    removed in the middle would go on as zeros, without any error. Snapshots are removed
    before objects are: while the snapshot is still there after a read, so were the
    objects during it. An image of the old form without a snapshot has to keep its header.
    """

    def __init__(self, cluster: Cluster, session: Session, image: Any) -> None:
        self._cluster = cluster
        self._pool = session.pool
        self._header = f"rbd_header.{image.id()}"
        self._snapshot = (
            image.snap_get_id(names.SNAPSHOT)
            if any(found["name"] == names.SNAPSHOT for found in image.list_snaps())
            else None
        )

    def check(self) -> None:
        """Raises StoreUnavailable when the image has gone."""
        gone = self._cluster.unavailable("the image was removed while it was read")
        try:
            _, answer = self._pool.execute(
                self._header, "rbd", "get_snapcontext", b"", SNAPSHOTS
            )
        except self._cluster.rados.ObjectNotFound as error:
            raise gone from error
        _, count = struct.unpack_from("<QI", answer)
        if self._snapshot is None:
            return
        if self._snapshot not in struct.unpack_from(f"<{count}Q", answer, 12):
            raise gone


class Pieces:
    """A run of bytes in blocks of 1 MiB; ``open`` and ``next_piece`` run in native threads.

    ``close`` may come while ``next_piece`` is still under way for a request given up.
    """

    def __init__(
        self, cluster: Cluster, call: Callable[..., Any], location: names.Location
    ) -> None:
        self._cluster = cluster
        self._call = call
        self._location = location
        self._flight = Flight(2 * cluster.address.timeout_s)
        self._landed: dict[int, bytes] = {}
        self._asked: list[tuple[int, int]] = []  # number and bytes, in order
        self._position = self._end = 0
        self._mutex = Mutex()
        self._image: Any = None
        self._guard: Guard | None = None

    def open(self, offset: int, length: int | None) -> int:
        """Returns the image's size in bytes. Raises KeyNotFound, StoreUnavailable."""
        cluster, (key, *_) = self._cluster, self._location
        session = cluster.session()
        with cluster.translated(key):
            image = cluster.rbd.Image(
                session.pool, key, snapshot=self._location.snapshot, read_only=True
            )
            try:
                size = int(image.size())
                self._guard = Guard(cluster, session, image)
            except BaseException:
                image.close()
                raise
        end = size if length is None else offset + length
        if offset > end or end > size:
            image.close()
            raise cluster.unavailable(f"{key} has {size} bytes, fewer than it should")
        self._image, self._session = image, session
        self._position, self._end = offset, end
        return size

    def __iter__(self) -> Iterator[memoryview]:
        while self._image is not None and (piece := self._call(self.next_piece)):
            view = memoryview(piece)
            for start in range(0, len(view), BLOCK):
                yield view[start : start + BLOCK]

    def next_piece(self) -> bytes:
        """The next bytes, none at the end. Raises StoreUnavailable."""
        limit = 4 * self._cluster.address.timeout_s
        key = self._location.image
        with self._cluster.translated(key), self._mutex.held(limit):
            if self._image is None:
                raise self._cluster.unavailable("the read was given up")
            self._ask()
            if not self._asked:
                return b""
            number, length = self._asked.pop(0)
            while number not in self._landed:
                landed, result, data = self._flight.land()
                if result < 0:
                    raise Failure(result)
                self._landed[landed] = data or b""
            piece = self._landed.pop(number)
            if len(piece) != length:
                raise self._cluster.unavailable("an image ended short")
            assert self._guard is not None
            self._guard.check()
            return piece

    def _ask(self) -> None:
        while self._position < self._end and len(self._asked) < AHEAD:
            start = self._position
            length = min(PIECE - start % PIECE, self._end - start)
            number = self._flight.start(
                lambda at, count, done: self._image.aio_read(at, count, done),
                start,
                length,
            )
            self._asked.append((number, length))
            self._position += length

    def close(self) -> None:
        image, self._image = self._image, None
        if image is not None:
            try:
                self._call(self._close, image)
            except errors.Error as error:
                LOG.warning("store %s: %s", self._cluster.store, error)

    def _close(self, image: Any) -> None:
        limit = 4 * self._cluster.address.timeout_s
        with self._cluster.translated(), self._mutex.held(limit):
            while len(self._flight):
                self._flight.land()
            image.close()
