"""The servers that the stories are told to, one of each kind and configuration."""

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cheroot import wsgi

from tests import daemon

#: Told to a service that runs already and trusts identity headers, if this is set.
ELSEWHERE = os.environ.get("IMAGESERVICE_TEST_URL")
KINDS = ("elsewhere",) if ELSEWHERE else ("threaded", "daemon")

Configuration = Mapping[str, Mapping[str, object]]


class Servers(contextlib.ExitStack):
    """Starts a server when it is first needed and keeps it till the end."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._urls: dict[str, str] = {}

    def url(
        self, kind: str, configuration: Configuration, *, single_store: bool
    ) -> str:
        """Return the URL of a server of this kind with these options."""
        if kind == "elsewhere":
            assert ELSEWHERE is not None
            if configuration or single_store:
                pytest.skip("needs a configuration of its own")
            return ELSEWHERE.rstrip("/")
        key = repr((kind, configuration, single_store))
        if key not in self._urls:
            folder = self._folder / f"{kind}-{len(self._urls)}"
            folder.mkdir()
            driver = "file" if kind == "daemon" else "memory"
            options = _options(folder, driver, configuration, single_store=single_store)
            start = _daemon if kind == "daemon" else _threaded
            self._urls[key] = self.enter_context(start(folder, options))
        return self._urls[key]


def _options(
    folder: Path, driver: str, configuration: Configuration, *, single_store: bool
) -> dict[str, dict[str, object]]:
    options: dict[str, dict[str, object]] = {
        "database": {"connection": f"sqlite:///{folder}/images.sqlite"},
    }
    if single_store:
        options["glance_store"] = {"default_store": driver, "stores": driver}
        if driver == "file":
            options["glance_store"]["filesystem_store_datadir"] = folder / "images"
    else:
        options["DEFAULT"] = {"enabled_backends": f"main:{driver}, archive:{driver}"}
        options["glance_store"] = {"default_backend": "main"}
        options["main"] = {"store_description": "fast disks", "weight": 10}
        options["archive"] = {}
        if driver == "file":
            options["main"]["filesystem_store_datadir"] = folder / "main"
            options["archive"]["filesystem_store_datadir"] = folder / "archive"
    for section, values in configuration.items():
        options.setdefault(section, {}).update(values)
    return options


@contextlib.contextmanager
def _daemon(folder: Path, options: Configuration) -> Iterator[str]:
    with daemon.Daemon(folder, options) as running:
        yield running.url


@contextlib.contextmanager
def _threaded(folder: Path, options: Configuration) -> Iterator[str]:
    from imageservice import config, service

    path = daemon.configure(folder, options)
    application = service.application(config.load([str(path)]))
    server = wsgi.Server(("127.0.0.1", 0), application, numthreads=4)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join()
