"""Serving: the daemon's own server, and ``application`` for any other WSGI server.

``imageservice.wsgi:application`` is built when it is first asked for, from the files that
the environment names. Its background jobs run in daemon threads of the process that asks:
a server that forks has to load the application after it has forked (uWSGI: ``lazy-apps``;
gunicorn: without ``--preload``).
"""

import atexit
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

JOBS_S = 5.0
"""Seconds that background jobs have to clear up when the process ends, as in the daemon."""


def __getattr__(name: str) -> Any:  # the application, by its only public name
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = built = _built()
    return built


def _built() -> Any:
    # Here and not at the top: the daemon imports its server from this package, and must
    # not load the service before the server has patched the standard library.
    from imageservice import service
    from imageservice.wsgi import threads

    application = service.from_environment(workers=threads.Workers())
    _run(application.background)
    return application


def _run(jobs: Sequence[Callable[[threading.Event], None]]) -> None:
    """Run jobs until the process ends; what waits to be sent by then is sent."""
    stop = threading.Event()
    running = [threading.Thread(target=job, args=(stop,), daemon=True) for job in jobs]

    def end() -> None:
        stop.set()
        until = time.monotonic() + JOBS_S
        for thread in running:
            thread.join(max(0.0, until - time.monotonic()))

    for thread in running:
        thread.start()
    atexit.register(end)
