"""What an audit finds, in the words of its report."""

import enum
from typing import NamedTuple

from imageservice.domain.image import Spot


class Kind(enum.StrEnum):
    """What is wrong."""

    MISSING = "missing"  # a row without bytes
    SIZE = "size"  # as many bytes as the row says there are not
    CONTENT = "content"  # the digest is another one
    INVALID = "invalid"  # the store cannot make sense of the location
    UNREADABLE = "unreadable"  # the store failed when it was asked for these bytes
    ORPHAN = "orphan"  # bytes without a row
    LEFTOVER = "leftover"  # what an unfinished write left


class Outcome(enum.StrEnum):
    """What was done about it."""

    FOUND = "found"  # nothing: nobody asked for it
    REPLACED = "replaced"  # from a good copy
    REMOVED = "removed"
    WOULD_REPLACE = "would replace"
    WOULD_REMOVE = "would remove"
    NO_COPY = "no good copy"
    KEPT = "kept"  # it could not be mended now; ``reason`` says why

    @property
    def is_mended(self) -> bool:
        return self in (Outcome.REPLACED, Outcome.REMOVED)


class Finding(NamedTuple):
    """One thing that is wrong in a store."""

    store: str
    kind: Kind
    image_id: str  # or the key of bytes that belong to no image
    url: str  # "" for what an unfinished write left
    size: int | None  # bytes that lie there
    outcome: Outcome = Outcome.FOUND
    reason: str = ""
    is_doubtful: bool = False  # nothing is to be mended there, for the reason given

    @property
    def spot(self) -> Spot:
        return self.store, self.url
