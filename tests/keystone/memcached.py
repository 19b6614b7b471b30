"""memcached servers for tests: a real one, and one that says nothing."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

from tests.daemon import free_port
from tests.databases import missing

START_S = 10


@contextlib.contextmanager
def real() -> Iterator[str]:
    """Start memcached; return its address. Skips without the program."""
    program = shutil.which("memcached")
    if program is None:
        missing("memcached is not installed (Debian: apt install memcached)")
    port = free_port()
    arguments = ["-l", "127.0.0.1", "-p", str(port), "-U", "0", "-u", "nobody"]
    with subprocess.Popen([program, *arguments]) as process:
        try:
            _wait(port)
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Accept connections, and no more."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def _wait(port: int) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "memcached does not answer"
            time.sleep(0.02)
