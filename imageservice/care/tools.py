"""What care for bytes works with, and the small jobs that go on meanwhile."""

import contextlib
import threading
from collections.abc import Iterator
from typing import NamedTuple

from imageservice.context import Context
from imageservice.db.inventory import Inventory
from imageservice.services.interfaces import Images
from imageservice.stores import registry
from imageservice.stores.driver import Workers
from imageservice.tasks.housekeeping import Housekeeping


class Tools(NamedTuple):
    """``images`` is the stack without rules, and ``context`` may see all of them."""

    context: Context
    images: Images
    inventory: Inventory
    stores: registry.Stores
    workers: Workers


@contextlib.contextmanager
def kept_alive(housekeeping: Housekeeping) -> Iterator[None]:
    """Do what every process that holds leases has to do beside its work."""
    stop = threading.Event()
    jobs = [
        threading.Thread(target=job, args=(stop,), daemon=True)
        for job in housekeeping.jobs
    ]
    for job in jobs:
        job.start()
    try:
        yield
    finally:
        stop.set()
        for job in jobs:
            job.join()
        housekeeping.clean_up()
