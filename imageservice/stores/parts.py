"""Cutting a stream into the parts of a multipart upload."""

import io
import time
from collections.abc import Iterator

from imageservice.stores.driver import BLOCK, Reader

MOST_PARTS = 10_000
"""Parts that an upload may have. Source: Amazon S3 user guide, multipart upload limits."""

LARGEST = 5 * 1024**3
"""Bytes of a part at most; same source."""

WINDOW = 48 * 1024 * 1024
"""Bytes of parts that one upload holds in memory, or one part if that is more."""

SHARE = 640
"""A part of an upload of unknown size is a 640th of what has come, if that is more than the
configured size, up to ``WINDOW``: with the smallest parts allowed, 5 MiB, 10000 parts then
hold 400 GiB."""


class Part:
    """The bytes of one part, as a file that can be measured, sent and sent again."""

    def __init__(self, blocks: list[bytearray]) -> None:
        self._blocks = blocks
        self._size = sum(len(block) for block in blocks)
        self._next = 0  # block

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return True  # it is there, even if it is empty

    def read(self, size: int = -1, /) -> bytes | bytearray:
        """Return the next block whole, whatever ``size``: http.client asks for 16 KiB.

        The blocks are read to sign them, too, which takes milliseconds each: in a
        process of greenlets the others get their turn in between.
        """
        time.sleep(0)
        if self._next >= len(self._blocks):
            return b""
        self._next += 1
        return self._blocks[self._next - 1]

    def free(self) -> None:
        """Let go of the bytes, whoever still holds the part: a traceback, mostly."""
        self._blocks = []

    def tell(self) -> int:
        return sum(len(block) for block in self._blocks[: self._next])

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to the beginning or to the end."""
        if offset or whence == io.SEEK_CUR:
            raise io.UnsupportedOperation("a part is read from the beginning only")
        self._next = len(self._blocks) if whence == io.SEEK_END else 0
        return self.tell()


def part_size(chunk: int, size: int | None, received: int) -> int:
    """Bytes of the next part: ``chunk``, or more so that 10000 parts suffice.

    ``size`` is that of the whole, None if unknown; ``received`` what came before. A part
    is held in memory, so that of an unknown size does not grow beyond ``WINDOW``.
    """
    least = min(received / SHARE, WINDOW - 1) if size is None else size / MOST_PARTS
    return min(max(chunk, -(-int(least + 1) // BLOCK) * BLOCK), LARGEST)


def gather(data: Reader, size: int) -> Part:
    """Read the next ``size`` bytes, or what is left of ``data`` if that is less."""
    blocks = []
    rest = size
    while rest:
        block = _block(data, min(BLOCK, rest))
        rest -= len(block)
        if block:
            blocks.append(block)
        if len(block) < min(BLOCK, rest + len(block)):
            break
    return Part(blocks)


def _block(data: Reader, size: int) -> bytearray:
    block = bytearray()
    while len(block) < size and (piece := data.read(size - len(block))):
        block += piece
    return block


def sizes(chunk: int, size: int | None, most: int = MOST_PARTS) -> Iterator[int]:
    """The sizes of all parts that there may be, in order, if each is filled."""
    received = 0
    for _ in range(most):
        count = part_size(chunk, size, received)
        yield count
        received += count
