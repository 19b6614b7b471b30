"""``Workers`` for servers where each request has a native thread of its own."""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

LOG = logging.getLogger(__name__)


class Signal:
    """See ``stores.driver.Signal``."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def wait(self, timeout: float | None = None) -> bool:
        was_set = self._event.wait(timeout)
        self._event.clear()
        return was_set


class Workers:
    """See ``stores.driver.Workers``: whoever waits here holds up nobody else anyway."""

    def run(self, function: Callable[..., T], /, *args: Any) -> T:
        return function(*args)

    def start(self, function: Callable[..., object], /, *args: Any) -> None:
        threading.Thread(target=_job, args=(function, args), daemon=True).start()

    def lane(self, limit: int) -> "Workers":
        return self

    def signal(self) -> Signal:
        return Signal()


def _job(function: Callable[..., object], args: tuple[Any, ...]) -> None:
    try:
        function(*args)
    except Exception:  # nobody waits for it, so this is where it ends
        LOG.exception("a job failed")
