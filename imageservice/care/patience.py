"""Waiting for images that somebody else is at work on."""

from collections.abc import Callable
from typing import TypeVar

from imageservice import errors
from imageservice.care.pace import Pace
from imageservice.tasks.housekeeping import LOST_AFTER_S

T = TypeVar("T")

PATIENCE_S = 2 * LOST_AFTER_S
"""Until such an image is given up: it may be one who is dead, whose lease is taken over."""

RETRY_S = 2.0


def patiently(step: Callable[[], T], pace: Pace, patience_s: float = PATIENCE_S) -> T:
    """What ``step`` returns. Raises ImageLeased if it does for too long, and Stopped."""
    waited_s = 0.0
    while True:
        pace.check()
        try:
            return step()
        except errors.ImageLeased:
            if waited_s >= patience_s:
                raise
            pace.wait(RETRY_S)
            waited_s += RETRY_S
