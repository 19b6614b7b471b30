"""Looks at registered bytes: what is found out, and what it makes of the image.

Nobody asks here whose turn it is, or again: that is ``verification.py``. A location whose
bytes are not the image's goes; the bytes themselves stay where they are, for they may be
somebody else's. Source: contract images.md §14.2.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from imageservice import errors
from imageservice.db import images as image_rows
from imageservice.db.registrations import Measured, Registrations
from imageservice.domain.allowance import Allowance
from imageservice.domain.image import Image, Location, Spot
from imageservice.domain.location import redacted
from imageservice.domain.proposals import Digests
from imageservice.domain.query import Viewer
from imageservice.services.images import Images, utcnow
from imageservice.services.interfaces import Lease
from imageservice.tasks.contents import Contents, Found, Unanswered, Unreadable
from imageservice.tasks.housekeeping import Stop

LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Plan(NamedTuple):
    """What the operator wants done with registered bytes."""

    algorithm: str  # of os_hash_value, where a client names none
    is_secure: bool  # read them
    size_cap: int  # bytes of the largest image
    tries: int  # how often a store is asked for anything


class Rows(NamedTuple):
    """What knows the rows of images and locations."""

    images: Images
    image_rows: image_rows.Images
    registrations: Registrations


class Job(NamedTuple):
    """``seen`` are locations that need no look (any more)."""

    lease: Lease
    seen: frozenset[Spot] = frozenset()
    tries: int = 0  # that have failed, of what is to be done next


class Looks:
    """``tell`` is given images that have changed. All raise Unreadable and Unanswered."""

    def __init__(
        self,
        plan: Plan,
        rows: Rows,
        contents: Contents,
        allowance: Callable[[str | None], Allowance],
        tell: Callable[[Image], None],
    ) -> None:
        self._plan = plan
        self._image_rows = rows.image_rows
        self._rows = rows.registrations
        self._contents = contents
        self._allowance = allowance
        self._tell = tell

    def image(self, lease: Lease) -> Image:
        """Raises ImageGone."""
        image = self._image_rows.show(lease.image_id, Viewer(None, is_admin=True))
        if image is None:
            raise errors.ImageGone(image_id=lease.image_id)
        return image

    def measure(self, job: Job, image: Image) -> bool:
        """importing → active if the bytes are there; False if they are to be read before."""
        at = self._respelt(job, image)
        size = self._asked(job, lambda: self._contents.size(at))
        if self._plan.is_secure and image.os_hash_value:
            return False
        self._activate(job, image, Measured(size, None))
        return True

    def compare(self, job: Job, image: Image, stop: Stop) -> frozenset[Spot]:
        """importing → active if the bytes are what the client said."""
        at = image.locations[0]
        size, found = self._found(job, image, at, stop)
        if not _is_same(image, found):
            raise Unreadable("os_hash_value is another one")
        self._activate(job, image, Measured(size, found))
        return frozenset({at.spot})

    def look(self, job: Job, image: Image, stop: Stop) -> frozenset[Spot]:
        """Read a location of an active image that nobody has read yet.

        Returns the locations that need no look any more. While its digests are unknown the first
        location says what the image's bytes are, whoever asked for the look: all others
        are compared with it. If it cannot be read nothing can be said of them.
        """
        is_described = image.os_hash_value is not None
        seen = job.seen if is_described else frozenset()
        at = next((at for at in image.locations if at.spot not in seen), None)
        if at is None:
            return seen
        try:
            size, found = self._found(job, image, at, stop)
        except Unreadable as error:
            LOG.warning("image %s: no digests: %s", image.id, error)
            passed = (at,) if is_described else image.locations
            return seen.union(each.spot for each in passed)
        lease = job.lease
        if size == image.size and not is_described:
            self._rows.describe(lease.token, image.id, at, found, utcnow())
            self._told(image)
        elif size != image.size or not _is_same(image, found):
            LOG.error("image %s: other bytes at %s", image.id, redacted(at.url))
            self._rows.refute(lease.token, image.id, at, utcnow())
            self._told(image)
        return seen | {at.spot}

    def _found(self, job: Job, image: Image, at: Location, stop: Stop) -> Found:
        algorithm = image.os_hash_algo or self._plan.algorithm
        # With the first byte that is too much it is known that they are the wrong ones.
        most = self._plan.size_cap if image.size is None else image.size
        return self._asked(
            job, lambda: self._contents.read(job.lease, at, algorithm, most, stop)
        )

    def _respelt(self, job: Job, image: Image) -> Location:
        """The location without a host that may change, nor a second spelling of it."""
        at = image.locations[0]
        url = self._asked(job, lambda: self._contents.canonical(at))
        if url != at.url:
            self._rows.respell(job.lease.token, image.id, at.url, url)
        return at._replace(url=url)

    def _asked(self, job: Job, ask: Callable[[], T]) -> T:
        """What a store says. With the last try Unanswered is Unreadable."""
        try:
            return ask()
        except Unanswered as error:
            if job.tries + 1 < self._plan.tries:
                raise
            raise Unreadable(str(error)) from error

    def _activate(self, job: Job, image: Image, measured: Measured) -> None:
        maximum = self._plan.size_cap
        if measured.size > maximum:
            raise errors.ImageSizeLimit(image_id=image.id, maximum=maximum)
        lease, allowance = job.lease, self._allowance(image.owner)
        self._rows.activate(lease.token, image.id, measured, allowance, utcnow())
        LOG.info("image %s: %d bytes registered", image.id, measured.size)
        self._told(image)

    def _told(self, image: Image) -> None:
        after = self._image_rows.show(image.id, Viewer(None, is_admin=True))
        if after is not None:
            self._tell(after)


def _is_same(image: Image, found: Digests) -> bool:
    said = (image.os_hash_value, image.checksum or found.checksum)
    return said == (found.os_hash_value, found.checksum)
