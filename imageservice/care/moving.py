"""Copies of images brought into another store, and stores emptied.

Each image is one step of its own, so that what was broken off is simply begun again: what
has been done is found done.
"""

import enum
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from imageservice import errors
from imageservice.care import jobs
from imageservice.care.audit import expected, verify
from imageservice.care.pace import Pace
from imageservice.care.patience import PATIENCE_S, patiently
from imageservice.care.tools import Tools
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.image import Image


class Result(enum.StrEnum):
    COPIED = "copied"
    THERE = "there already"
    MOVED = "moved"
    IN_USE = "in use"
    GONE = "no such image"  # perhaps not any more
    FAILED = "failed"

    @property
    def is_left(self) -> bool:
        """Whether it is still to be done."""
        return self in (Result.IN_USE, Result.FAILED)


class Step(NamedTuple):
    """What became of one image."""

    image_id: str
    result: Result
    size: int = 0  # bytes that were copied
    reason: str = ""


class Moving:
    """``waiting`` is called now and then while an image takes its time."""

    def __init__(
        self,
        tools: Tools,
        pace: Pace,
        at_once: int,
        waiting: Callable[[], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._ctx, self._images, self._inventory, self._stores, self._workers = tools
        self._pace = pace
        self._jobs = at_once
        self._waiting = waiting
        self._patience_s = patience_s

    def copy(self, image_ids: Iterable[str], to: str) -> Iterator[Step]:
        """Bring a copy of each image into ``to``. Raises StoreUnknown, StoreReadOnly."""
        self._stores.writable(to)
        return self._each(image_ids, lambda image: self._copy(image, to))

    def drain(self, image_ids: Iterable[str], frm: str, to: str) -> Iterator[Step]:
        """Move their copies in ``frm`` to ``to``. Raises StoreUnknown, StoreReadOnly."""
        if frm == to:
            reason = f"Store '{frm}' cannot be drained into itself."
            raise errors.BadRequest(reason=reason)
        self._stores.get(frm)
        self._stores.writable(to)
        return self._each(image_ids, lambda image: self._move(image, frm, to))

    def _each(
        self, image_ids: Iterable[str], step: Callable[[Image], Step]
    ) -> Iterator[Step]:
        def guarded(image_id: str) -> Step:
            return self._guarded(image_id, step)

        return jobs.done(guarded, image_ids, self._jobs, self._pace, self._waiting)

    def _guarded(self, image_id: str, step: Callable[[Image], Step]) -> Step:
        try:
            return patiently(
                lambda: step(self._images.find(self._ctx, image_id)),
                self._pace,
                self._patience_s,
            )
        except (errors.ImageNotFound, errors.ImageGone):
            return Step(image_id, Result.GONE)
        except errors.KeyInUse as error:
            return Step(image_id, Result.IN_USE, reason=str(error))
        except errors.Error as error:
            self._pace.check()
            return Step(image_id, Result.FAILED, reason=str(error))

    def _copy(self, image: Image, to: str) -> Step:
        try:
            self._images.copy(self._ctx, image, to, UNLIMITED)
        except errors.CopyExists:
            return Step(image.id, Result.THERE)
        return Step(image.id, Result.COPIED, image.size or 0)

    def _move(self, image: Image, frm: str, to: str) -> Step:
        copied = self._copy(image, to)
        if copied.result is Result.THERE:
            # By whom, and how long ago? Another one is about to go, so this one is read.
            self._verify(image, to)
        image = self._images.find(self._ctx, image.id)
        self._images.drop_copy(self._ctx, image, frm)
        return copied._replace(result=Result.MOVED)

    def _verify(self, image: Image, store: str) -> None:
        """Raises ContentChanged, and what the driver raises."""
        for other, copy in self._inventory.of(image.id):
            if other == store and copy.is_settled:
                held = self._stores.holding(store, copy.url)
                verify(held, expected(copy), copy.url, self._workers, self._pace)
                return
        raise errors.CopyNotFound(image_id=image.id, store=store)
