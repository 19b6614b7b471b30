"""Which disk formats a stream of bytes looks like, by the inspectors of oslo.utils.

They are fed only as long as they want bytes: 256 KiB of most images. The exceptions are
a VMDK with a footer, looked at to its end, and a VHDX up to its metadata.
"""

import contextlib
import logging
from collections.abc import Iterator
from typing import NamedTuple

from oslo_utils.imageutils import format_inspector
from oslo_utils.imageutils.format_inspector import FileInspector

from imageservice.stores.driver import BLOCK

LOG = logging.getLogger(__name__)

KNOWN = frozenset(format_inspector.ALL_FORMATS) - {"raw"}
"""Formats that content can be recognised as; everything else is raw."""

PIECE = 64 * 1024
"""Bytes given at a time from the first block. The VHDX inspector looks for a structure
only in what comes after the piece that pointed to it."""

SECTOR = 512


class Findings(NamedTuple):
    """The formats that match; and those of which no inspector could tell."""

    matches: tuple[FileInspector, ...]
    unclear: tuple[str, ...] = ()


class Formats:
    """All inspectors over one stream."""

    def __init__(self) -> None:
        every = format_inspector.ALL_FORMATS
        self._inspectors = [every[name]() for name in sorted(KNOWN)]
        self._live = list(self._inspectors)
        self._head = bytearray()
        self._started = False
        self._fed = 0  # bytes

    @property
    def curious(self) -> bool:
        """Whether more bytes may still change the answer."""
        return bool(self._live)

    def feed(self, block: memoryview) -> None:
        """Look at the next bytes of the stream."""
        if self._started:
            self._eat(block)
            return
        # The first MiB is looked at as a whole: what an inspector makes of a VMDK's
        # descriptor depends on how much of it comes in the first piece, and that is not
        # for the client to choose.
        self._head += block
        if len(self._head) >= BLOCK:
            self._start()

    def end(self) -> Findings:
        """The stream has ended, or nothing further can change the answer."""
        self._start()
        if self._fed < SECTOR:
            self._pad()
        for inspector in self._live:
            inspector.finish()
        matches, unclear = [], []
        for inspector in self._inspectors:
            try:
                if inspector.format_match:
                    matches.append(inspector)
            except Exception:  # what it read made no sense to it at all
                unclear.append(inspector.NAME)
        if "vmdk" in unclear and b"createtype" not in self._head[:BLOCK].lower():
            unclear.remove("vmdk")  # just a text
        return Findings(tuple(matches), tuple(unclear))

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        head = memoryview(bytes(self._head))
        for piece in [head] if is_text(head) else pieces(head):
            self._eat(piece)

    def _eat(self, piece: memoryview) -> None:
        self._fed += len(piece)
        for inspector in list(self._live):
            try:
                inspector.eat_chunk(bytes(piece))
                done = inspector.complete
            except Exception as error:  # its way to say that this is not its format
                LOG.debug("not %s: %s", inspector.NAME, error)
                done = True
            if done:
                self._live.remove(inspector)

    def _pad(self) -> None:
        """Fill the first sector with zeros, as qemu does when it reads a short file.

        Otherwise a header cut off below 512 bytes, which qemu opens, would be missed.
        """
        if not is_text(memoryview(self._head)):
            self._eat(memoryview(bytes(SECTOR - self._fed)))


def pieces(block: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(block), PIECE):
        yield block[start : start + PIECE]


def is_text(head: memoryview) -> bool:
    """Tell whether the first sector is ASCII text, as a VMDK descriptor would be."""
    with contextlib.suppress(UnicodeDecodeError):
        text = bytes(head[:SECTOR]).decode("ascii")
        return all(char.isprintable() or char.isspace() for char in text)
    return False
