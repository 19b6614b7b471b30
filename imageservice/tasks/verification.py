"""Registered bytes, looked at in the background: whose turn it is, and what comes next.

A location that a client names is a promise, which ``looks.py`` keeps or takes back: an
image that waits for its bytes (importing) becomes active or is queued again, an active one
gets its digests, and a location whose bytes are not the image's goes. All that is to be done
stands in the rows of the image and of its lease (purpose "verify"), so that another
worker can go on when this one is killed (``housekeeping.py`` hands such leases here).

A few jobs of each process share the work, however many locations are registered: one
kind asks for sizes, which is short, the other reads. Projects take turns at both
(``turns.py``). Source: contract images.md §14.2.
"""

import functools
import logging
import time
from collections.abc import Callable, Sequence

from imageservice import errors
from imageservice.domain.image import Image, Spot
from imageservice.domain.lease import REMOVE, VERIFY
from imageservice.services.interfaces import Lease
from imageservice.services.leases import Leases
from imageservice.tasks.contents import Unanswered, Unreadable
from imageservice.tasks.housekeeping import Stop
from imageservice.tasks.looks import Job, Looks, Plan, Rows
from imageservice.tasks.turns import Turns

LOG = logging.getLogger(__name__)

ASKERS = 4
READERS = 4
"""Images whose bytes are read at a time by one process; each takes 4 MiB of memory."""

SHARE = 2
"""Askers, and readers, that the images of one project have at most."""

PAUSES_S = (1.0, 3.0, 10.0)
"""Seconds before each further try; the last for all that follow."""

IDLE_S = 1.0
"""Seconds between two looks whether the process ends."""

SWEEP_INTERVAL_S = 3.0


Work = Callable[[Job, Image], None]


class Verification:
    """One per process. ``jobs`` are run beside the requests for ever."""

    def __init__(
        self,
        plan: Plan,
        rows: Rows,
        held: Leases,
        looks: Looks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._rows = rows
        self._held = held
        self._looks = looks
        self._to_ask: Turns[Job] = Turns(SHARE, clock)
        self._to_read: Turns[Job] = Turns(SHARE, clock)

    def begin(self, lease: Lease, known: Sequence[Spot] = ()) -> None:
        """See ``layers/locations.py``; ``lease`` is held by this process."""
        self._do(Job(lease, frozenset(known)), self._sort)

    @property
    def jobs(self) -> tuple[Callable[[Stop], None], ...]:
        """What the server runs beside the requests, each until its ``stop`` is set."""

        def ask(stop: Stop) -> None:
            while not stop.wait(0):
                self._ask_next(IDLE_S)

        def read(stop: Stop) -> None:
            while not stop.wait(0):
                self._read_next(stop, IDLE_S)

        def sweep(stop: Stop) -> None:
            while not stop.wait(SWEEP_INTERVAL_S):
                self.sweep()

        return (*(ask for _ in range(ASKERS)), *(read for _ in range(READERS)), sweep)

    def step(self, stop: Stop) -> bool:
        """Do one piece of work now; False if none is due."""
        return self._ask_next() or self._read_next(stop)

    def sweep(self) -> None:
        """Let go of what waits in vain: nobody who deletes an image waits for its turn."""
        for turns in (self._to_ask, self._to_read):
            for job in turns.withdraw(self._is_void):
                self._do(job, lambda job, image: self._held.holds(job.lease))

    def _is_void(self, job: Job) -> bool:
        try:
            self._held.holds(job.lease)
        except errors.Error:
            return True
        return False

    def _ask_next(self, patience_s: float = 0) -> bool:
        with self._to_ask.next(patience_s) as job:
            if job is None:
                return False
            self._do(job, functools.partial(self._trying, self._to_ask, self._ask))
        return True

    def _read_next(self, stop: Stop, patience_s: float = 0) -> bool:
        with self._to_read.next(patience_s) as job:
            if job is None:
                return False
            read = functools.partial(self._read, stop)
            self._do(job, functools.partial(self._trying, self._to_read, read))
        return True

    def _do(self, job: Job, work: Work) -> None:
        """Do one piece of work; whatever happens, its lease is not forgotten."""
        lease = job.lease
        try:
            work(job, self._looks.image(lease))
        except errors.LeaseLost:
            self._held.end(lease)
        except errors.ImageGone:
            # Housekeeping removes what is left of it.
            self._held.abandon(lease)
        except errors.Unavailable as error:
            LOG.warning("image %s: looked at later: %s", lease.image_id, error)
            self._held.abandon(lease)
        except (Unreadable, errors.Error) as error:
            LOG.warning(
                "image %s: its location is of no use: %s", lease.image_id, error
            )
            self._give_up(job)
        except Exception:
            # The jobs must go on for others, and this one must not come back for ever.
            LOG.exception("image %s: its location is of no use", lease.image_id)
            self._give_up(job)

    def _trying(self, turns: Turns[Job], work: Work, job: Job, image: Image) -> None:
        """Do one piece of work, and let it wait for another turn if no store answers."""
        try:
            work(job, image)
        except Unanswered as error:
            LOG.warning("image %s: try %d: %s", image.id, job.tries + 1, error)
            pause_s = PAUSES_S[min(job.tries, len(PAUSES_S) - 1)]
            turns.put(image.owner, job._replace(tries=job.tries + 1), pause_s)

    def _give_up(self, job: Job) -> None:
        """An image that waits is queued again without the location (✗48)."""
        lease = job.lease
        try:
            image = self._looks.image(lease)
            if image.status == "importing":
                self._rows.images.release(lease)
            else:
                everything = frozenset(at.spot for at in image.locations)
                self._finish(job._replace(seen=everything), image)
        except errors.Error:
            self._held.abandon(lease)

    # --- asking ---

    def _sort(self, job: Job, image: Image) -> None:
        """Let a job wait for what is to be done next."""
        if image.status == "importing":
            self._to_ask.put(image.owner, job)
        elif self._plan.is_secure:
            self._to_read.put(image.owner, job)
        else:
            self._finish(job, image)

    def _ask(self, job: Job, image: Image) -> None:
        if image.status != "importing":
            # Another worker took over, and came so far.
            self._sort(job, image)
            return
        is_active = self._looks.measure(job, image)
        if is_active and not self._plan.is_secure:
            self._finish(job, image)
        else:
            self._to_read.put(image.owner, job._replace(tries=0))

    # --- reading ---

    def _read(self, stop: Stop, job: Job, image: Image) -> None:
        if image.status == "importing":
            seen = self._looks.compare(job, image, stop)
        else:
            seen = self._looks.look(job, image, stop)
        self._finish(job._replace(seen=seen, tries=0), image)

    # --- the end ---

    def _finish(self, job: Job, image: Image) -> None:
        lease = job.lease
        seen = job.seen if self._plan.is_secure else [at.spot for at in image.locations]
        left = self._rows.registrations.finish(lease.token, image.id, seen)
        if left == VERIFY:
            self._do(job, self._sort)
        elif left == REMOVE:
            self._held.abandon(lease._replace(purpose=REMOVE))
        else:
            self._held.end(lease)
