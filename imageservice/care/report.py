"""What an operator sees: progress while it goes on, a table or JSON in the end."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

LINE_S = 30.0
"""Between two lines of progress where they stay, as in a log."""

REDRAW_S = 0.2
"""Between two states of the one line on a terminal."""


class Progress:
    """Says on ``stream`` how far things are."""

    def __init__(
        self,
        stream: TextIO = sys.stderr,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._next = clock() + (0 if self._is_terminal else LINE_S)
        self._width = 0  # of the line on the terminal

    def __call__(self, text: str) -> None:
        """Show a state, if the last one has been there long enough."""
        now = self._clock()
        if now < self._next:
            return
        if self._is_terminal:
            self._next = now + REDRAW_S
            self._stream.write(f"\r{text.ljust(self._width)}")
            self._width = len(text)
        else:
            self._next = now + LINE_S
            self._stream.write(f"{text}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Make room for other output."""
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows of the same keys below their names; numbers to the right."""
    names = list(rows[0])
    lines = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = [isinstance(rows[0][name], int) for name in names]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def as_json(what: str, values: Mapping[str, object]) -> str:
    """One line of JSON."""
    return json.dumps({"type": what, **values})


def size(count: int) -> str:
    """Bytes for people."""
    if count < 1024:
        return f"{count} B"
    for unit, factor in (("KiB", 2**10), ("MiB", 2**20)):
        if count < 1024 * factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 2**30:.1f} GiB"
