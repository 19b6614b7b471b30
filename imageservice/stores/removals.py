"""Removing the files of a file store, where each removal may take effect late or unseen."""

import os
from collections.abc import Callable

from imageservice import errors
from imageservice.stores import folders
from imageservice.stores.folders import Folder
from imageservice.stores.patience import Patience


class Removals:
    """Removes data, but never beside another removal of the same key.

    One that was given up may come to its end at any later time. It must not do so
    after another one has succeeded, and new data lies there.
    """

    def __init__(self, store: str, patience: Patience) -> None:
        self._store = store
        self._patience = patience
        # By folder and key: who removes it now, in a native thread.
        self._under_way: dict[tuple[str, str], object] = {}

    def remove(self, folder: Folder, key: str) -> None:
        """Raises KeyNotFound, RemainsLeft if it may be gone, or go at any time, else NoAnswer."""
        try:
            self._alone(self._remove, folder, key)
        except errors.NoAnswer as error:
            if (folder.path, key) not in self._under_way:
                raise
            raise self._remains("the data may go at any time") from error

    def discard(self, folder: Folder, key: str) -> None:
        """Remove what lies there, finished or not."""
        self._alone(self._discard, folder, key)

    def _alone(
        self, function: Callable[[Folder, str], None], folder: Folder, key: str
    ) -> None:
        def alone() -> None:
            place, this = (folder.path, key), object()
            if self._under_way.setdefault(place, this) is not this:
                reason = "a removal of the same data waits for an answer already"
                raise errors.NoAnswer(store=self._store, reason=reason)
            try:
                function(folder, key)
            finally:
                del self._under_way[place]

        self._patience.call(alone)

    def _remove(self, folder: Folder, key: str) -> None:
        within = folder.open()
        try:
            with folders.translated(self._store, str(folder)):
                if not folders.remove(within, key):
                    raise errors.KeyNotFound(store=self._store, key=key)
                os.fsync(within.number)
        except (errors.StoreUnavailable, errors.StoreFull) as error:
            # Only a refusal is sure to have changed nothing.
            raise self._remains("nobody knows whether the data is gone") from error

    def _discard(self, folder: Folder, key: str) -> None:
        """Hidden names first: a writer then fails, or has published what goes next."""
        within = folder.open()
        with folders.translated(self._store, str(folder)):
            for name in folders.temporaries(within, key):
                folders.remove(within, name)
            folders.remove(within, key)
            os.fsync(within.number)

    def _remains(self, reason: str) -> errors.RemainsLeft:
        return errors.RemainsLeft(store=self._store, reason=reason)
