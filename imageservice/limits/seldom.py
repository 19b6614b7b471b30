"""A log that says the same thing only once in a while, however often it happens."""

import logging
import time
from collections.abc import Callable

SELDOM_S = 60.0

#: Different things that are remembered to have been said.
MANY = 100


class Seldom:
    """Logs to ``log``, each combination of message and values once in SELDOM_S."""

    def __init__(
        self, log: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock = clock
        self._said: dict[tuple[object, ...], float] = {}

    def error(self, message: str, *values: object) -> None:
        now, said = self._clock(), (message, *values)
        if now - self._said.get(said, -SELDOM_S) < SELDOM_S:
            return
        if len(self._said) >= MANY:
            self._said.clear()
        self._said[said] = now
        self._log.error(message, *values)
