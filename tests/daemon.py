"""Runs the real daemon: its own process group, a loopback port, a folder for it all."""

import configparser
import contextlib
import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests import programs

START_S = 90
STOP_S = 30
LOG_LINES = 40

#: Trusts identity headers, as behind a gateway that has checked the token.
PASTE = """
[composite:imageservice-api]
paste.composite_factory = imageservice.pipeline:mounts_factory
/ = trusted
/healthcheck = healthcheck

[pipeline:trusted]
pipeline = faultwrap cors http_proxy_to_wsgi versionnegotiation context rootapp

[app:healthcheck]
paste.app_factory = oslo_middleware:Healthcheck.app_factory
backends = disable_by_file
disable_by_file_path = /nonexistent

[filter:faultwrap]
use = egg:imageservice#faultwrap

[filter:cors]
paste.filter_factory = imageservice.pipeline:cors_factory

[filter:http_proxy_to_wsgi]
paste.filter_factory = imageservice.pipeline:proxy_factory

[filter:versionnegotiation]
use = egg:imageservice#versionnegotiation

[filter:context]
use = egg:imageservice#context

[app:rootapp]
use = egg:imageservice#rootapp
"""

Options = Mapping[str, Mapping[str, object]]


def command(name: str) -> str:
    """Return the path of a command of this environment."""
    return str(Path(sys.executable).parent / name)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def configure(folder: Path, options: Options, paste: str = PASTE) -> Path:
    """Write a configuration file, and the pipeline that it names, into a folder."""
    pipeline = folder / "api-paste.ini"
    pipeline.write_text(paste, encoding="utf-8")
    sections = {name: dict(section) for name, section in options.items()}
    sections.setdefault("paste_deploy", {}).setdefault("config_file", pipeline)
    parser = configparser.RawConfigParser(default_section="no such section")
    parser.read_dict(
        {
            name: {option: str(value) for option, value in section.items()}
            for name, section in sections.items()
        }
    )
    path = folder / "imageservice-api.conf"
    with path.open("w", encoding="utf-8") as file:
        parser.write(file)
    return path


class Daemon:
    """``imageservice-api`` with options, or on its embedded defaults if there are none.

    The data of one on its defaults lies under ``data``; the log is ``log``. ``start``
    waits until it answers; used as a context it is killed in the end, with its children.
    """

    def __init__(self, folder: Path, options: Options | None = None) -> None:
        self.data, self.log = folder / "data", folder / "daemon.log"
        self.images, self.database = self.data / "images", ""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._arguments = ["--bind-host", "127.0.0.1", "--bind-port", str(self.port)]
        if options is None:
            self._arguments += ["--data-dir", str(self.data)]
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self.configuration = configure(folder, options)
            self._arguments += ["--config-file", str(self.configuration)]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        """Start it and wait until it answers; fail with its last log lines."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = programs.start(
                [command("imageservice-api"), *self._arguments], log, group=0
            )
        deadline = time.monotonic() + START_S
        while not self.answers():
            if self.process.poll() is not None:
                self._fail(f"it ended at once, status {self.process.returncode}")
            if time.monotonic() > deadline:
                self.kill()
                self._fail(f"it did not answer within {START_S} s")
            time.sleep(0.05)

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status == 200
        return False

    def kill(self) -> None:
        """End every process of the daemon at once, as a power failure would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_S)

    def stop(self) -> int:
        """Ask it to end, wait until it has, and return its status."""
        self.process.terminate()
        return self.process.wait(STOP_S)

    def _fail(self, reason: str) -> None:
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        raise AssertionError("\n".join([f"{reason}. The end of {self.log}:", *lines]))
