"""Small file systems for tests, mounted where that is allowed."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(at: Path, *arguments: str) -> Iterator[Path]:
    """Mount something at ``at`` for a while; skips the test where only root may."""
    at.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", *arguments, str(at)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"mount is not allowed here: {made.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def memory_disk(at: Path, size: str) -> contextlib.AbstractContextManager[Path]:
    return mounted(at, "-t", "tmpfs", "-o", f"size={size}", "tmpfs")
