"""The servers that the stories are told to, one of each kind and configuration."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from cheroot import wsgi

from imageservice import config, service
from imageservice.wsgi import threads
from tests import daemon, databases
from tests.jobs import begin

#: Told to a service that runs already and trusts identity headers, if this is set.
ELSEWHERE = os.environ.get("IMAGESERVICE_TEST_URL")
KINDS = ("elsewhere",) if ELSEWHERE else ("threaded", "daemon")

Configuration = Mapping[str, Mapping[str, object]]


class Setting(NamedTuple):
    """What a server is started with, beyond the usual.

    ``files`` are documents that lie beside its configuration, by file name.
    """

    configuration: dict[str, dict[str, object]]
    files: dict[str, object]
    single_store: bool

    @property
    def is_usual(self) -> bool:
        return not (self.configuration or self.files or self.single_store)


class Servers(contextlib.ExitStack):
    """Starts a server when it is first needed and keeps it till the end."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._urls: dict[str, str] = {}

    def url(self, kind: str, setting: Setting) -> str:
        """Return the URL of a server of this kind and setting."""
        if kind == "elsewhere":
            assert ELSEWHERE is not None
            if not setting.is_usual:
                pytest.skip("needs a configuration of its own")
            return ELSEWHERE.rstrip("/")
        key = repr((kind, setting))
        if key not in self._urls:
            # A server that does not start is not tried again for every request.
            self._urls[key] = ""
            self._urls[key] = self._start(kind, setting)
        if not self._urls[key]:
            pytest.fail("its server did not start: see the first failure")
        return self._urls[key]

    def _start(self, kind: str, setting: Setting) -> str:
        folder = self._folder / f"{kind}-{len(self._urls)}"
        folder.mkdir()
        for name, document in setting.files.items():
            # JSON is YAML, so it serves for both; a text is written as it is.
            text = document if isinstance(document, str) else json.dumps(document)
            (folder / name).write_text(text, encoding="utf-8")
        options = _options(folder, "file" if kind == "daemon" else "memory", setting)
        database = self.enter_context(databases.ready("sqlite", folder))
        options.setdefault("database", {})["connection"] = database
        start = as_daemon if kind == "daemon" else in_threads
        return self.enter_context(start(folder, options))


def _options(
    folder: Path, driver: str, setting: Setting
) -> dict[str, dict[str, object]]:
    options: dict[str, dict[str, object]] = {}
    if setting.single_store:
        options["glance_store"] = {"stores": driver, "default_store": driver}
        homes = {"glance_store": "only"}
    else:
        options["DEFAULT"] = {"enabled_backends": f"main:{driver}, archive:{driver}"}
        options["glance_store"] = {"default_backend": "main"}
        options["main"] = {"store_description": "fast disks", "weight": 10}
        options["archive"] = {}
        homes = {"main": "main", "archive": "archive"}
    for section, values in setting.configuration.items():
        options.setdefault(section, {}).update(values)
    stores = options.get("DEFAULT", {}).get("enabled_backends", f"only:{driver}")
    for section, home in homes.items():
        if f"{home}:file" in str(stores):
            (folder / home).mkdir()
            options[section]["filesystem_store_datadir"] = folder / home
    return options


@contextlib.contextmanager
def as_daemon(folder: Path, options: Configuration) -> Iterator[str]:
    with daemon.Daemon(folder, options) as running:
        yield running.url


@contextlib.contextmanager
def in_threads(folder: Path, options: Configuration) -> Iterator[str]:
    path = daemon.configure(folder, options)
    application = service.application(config.load([str(path)]), threads.Workers())
    begin(application.background)
    server = wsgi.Server(("127.0.0.1", 0), application, numthreads=4)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join()
