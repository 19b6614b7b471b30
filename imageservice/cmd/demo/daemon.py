"""The server half of the demo: a daemon of our own that ends with it."""

import contextlib
import http.client
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from imageservice.cmd.demo.client import DemoError

COMMAND = Path(sys.executable).with_name("imageservice-api")
START_S = 30
STOP_S = 15
LOG_LINES = 20


def free_port(wanted: int) -> int:
    """Return ``wanted`` if nobody listens there on 127.0.0.1, else a port that is free."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wanted))
        except OSError:
            listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Daemon:
    """``imageservice-api`` on its embedded defaults, as a context."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.log = folder / "daemon.log"
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        """Start it and wait until it answers. Raises DemoError with its last log lines."""
        command = [str(COMMAND), "--data-dir", str(self.folder)]
        command += ["--bind-port", str(self.port)]
        with self.log.open("wb") as log:
            # A process group of its own: Ctrl-C reaches only us, and we stop the daemon.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self.process.poll() is not None:
                self._fail(
                    f"the daemon ended at once, with status {self.process.returncode}"
                )
            if time.monotonic() > deadline:
                self._fail(f"the daemon did not answer within {START_S} s")
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status == 200
        return False

    def _fail(self, reason: str) -> None:
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        said = "\n".join(f"  {line}" for line in lines) or "  (nothing)"
        raise DemoError(f"{reason}. The end of {self.log}:\n{said}")

    def _stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
