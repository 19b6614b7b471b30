"""Patience with a file system whose errors have notes for the log."""

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

from imageservice import errors
from imageservice.stores.patience import Patience

LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Noting(Patience):
    """Logs the notes of errors: operators need them, and users must not see them.

    Here, in request code, and not where they come about: that is in native threads, and
    in the daemon the locks of ``logging`` belong to greenlets.
    """

    def call(self, function: Callable[[], T], within_s: float | None = None) -> T:
        try:
            return super().call(function, within_s)
        except errors.Error as error:
            for note in _notes(error):
                LOG.warning("store %s: %s", self._store, note)
            raise


def _notes(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield from getattr(error, "__notes__", ())
        error = error.__cause__
