"""Other OpenStack services beside ours, each in a process of its own on a loopback port."""

import contextlib
import http.client
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests import programs
from tests.daemon import free_port

START_S = 90


class Service:
    """Runs ``python -m SERVER FOLDER PORT`` and waits until it answers; used as a context."""

    #: The module that serves.
    server: str
    #: Where it answers 200 or 300 once it serves.
    path = "/"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        with (self.folder / "stderr.log").open("wb") as log:
            self.process = programs.start(
                [sys.executable, "-m", self.server, self.folder, str(self.port)],
                log,
                folder=Path(__file__).parents[1],
            )
        try:
            self._wait()
            self.populate()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it hang for a while."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def prepare(self) -> None:
        """Write what it reads at its start into ``folder``."""

    def populate(self) -> None:
        """Tell it what it is to know, once it answers."""

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while not self._answers():
            ended = self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                log = (self.folder / "stderr.log").read_text(errors="replace")
                raise AssertionError(f"{self.server} does not answer. {log[-3000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", self.path)
            return connection.getresponse().status in (200, 300)
        return False
