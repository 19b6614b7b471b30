"""Filling whole buffers from readers that give as much as they have at the moment."""

from collections.abc import Callable

from imageservice.stores.driver import Buffer, Reader

Fill = Callable[[memoryview], int]
"""Fills a buffer from its front; returns the bytes filled in, 0 only at the end."""


def filler(inner: Reader) -> Fill:
    """Give the ``readinto`` of a reader, or make one of its ``read``."""
    readinto: Fill | None = getattr(inner, "readinto", None)
    if readinto is not None:
        return readinto

    def fill(buffer: memoryview) -> int:
        block: Buffer = inner.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    return fill


def fill_up(fill: Fill, buffer: memoryview) -> int:
    """Fill all of ``buffer``; less than its length comes back only at the end."""
    filled = 0
    while filled < len(buffer):
        count = fill(buffer[filled:])
        if not count:
            break
        filled += count
    return filled
