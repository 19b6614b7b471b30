"""Serving: the daemon's own server, and ``application`` for any other WSGI server.

``imageservice.wsgi:application`` is built when it is first asked for, from the files that
the environment names. Its background jobs run in daemon threads of the process that asks:
a server that forks has to load the application after it has forked (uWSGI: ``lazy-apps``;
gunicorn: without ``--preload``).
"""

import threading
from typing import Any


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
    stop = threading.Event()  # never set: these threads end with their process
    for job in application.background:
        threading.Thread(target=job, args=(stop,), daemon=True).start()
    return application
