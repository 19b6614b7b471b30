"""Programs that run beside tests, and never outlive them."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

# Linux kills what this starts as soon as the thread ends that started it, kill -9 included.
TETHER = ("setpriv", "--pdeathsig", "KILL", "--")


def start(
    command: Sequence[str | Path],
    log: BinaryIO,
    *,
    folder: Path | None = None,
    group: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that writes into ``log``; it is killed when this process ends.

    That must not depend on who ends this process, or how: a daemon that a broken-off run
    left behind holds memory and ports until somebody looks. ``group`` is its process
    group, 0 for one of its own. Children of the program are its own affair. Without
    util-linux only what tests end themselves is ended.
    """
    tether = TETHER if shutil.which(TETHER[0]) else ()
    return subprocess.Popen(
        [*tether, *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=folder,
        process_group=group,
    )
