"""Raw HTTP: bytes out, answers in; and the server process under test."""

import contextlib
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 20


class Answer(NamedTuple):
    status: int
    headers: dict
    body: bytes
    is_whole: bool = True


class Daemon:
    """The server in a process of its own, with ``settings`` on top of the defaults."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.settings = {"bind_port": 0} | settings
        self.configure()
        self.log = []
        self._grown = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.wsgi.daemon", str(folder)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def configure(self, **settings):
        self.settings |= settings
        path = self.folder / "settings.json"
        path.write_text(json.dumps(self.settings))

    def _read_log(self):
        for line in self.process.stderr:
            with self._grown:
                self.log.append(line.rstrip())
                self._grown.notify_all()

    def wait_for(self, pattern, times=1):
        """Wait until as many lines of the log match; return the last match."""
        with self._grown:

            def found():
                return [m for line in self.log if (m := re.search(pattern, line))]

            assert self._grown.wait_for(lambda: len(found()) >= times, TIMEOUT_S), (
                "\n".join(self.log)
            )
            return found()[times - 1]

    def start(self):
        self.where = self.wait_for(r"workers serve (\S+)")[1]
        return self

    def connect(self):
        if self.where.startswith("unix:"):
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(TIMEOUT_S)
            made.connect(self.where.removeprefix("unix:"))
            return made
        host, port = self.where.rpartition("/")[2].rsplit(":", 1)
        made = socket.create_connection((host, int(port)), TIMEOUT_S)
        if self.where.startswith("https"):
            context = ssl.create_default_context(cafile=self.settings["tls_cert_file"])
            made = context.wrap_socket(made, server_hostname=host)
        return made

    def get(self, path, **headers):
        with contextlib.closing(Client(self.connect())) as client:
            return client.get(path, **headers)

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        """End the process and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self._reader.join(TIMEOUT_S)
            self.process.stderr.close()
        return status


class Client:
    """One connection."""

    def __init__(self, connection):
        self.socket = connection
        self.received = b""

    def send(self, data):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def get(self, path, **headers):
        fields = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
        self.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n".encode())
        return self.answer()

    def answer(self, *, head_only=False):
        """Read one answer; None if the connection ends before it begins."""
        while b"\r\n\r\n" not in self.received:
            if not self._more():
                assert self.received == b""
                return None
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        pairs = [field.split(": ", 1) for field in fields]
        headers = {name.lower(): value for name, value in pairs}
        status = int(first.split()[1])
        if head_only or status in (100, 204, 304):
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, *self._chunks())
        if "content-length" in headers:
            body = self._take(int(headers["content-length"]))
            return Answer(
                status, headers, body, len(body) == int(headers["content-length"])
            )
        return Answer(status, headers, self._rest(), not self.was_reset)

    def answers(self):
        """Read answers until the server closes."""
        return list(iter(self.answer, None))

    was_reset = False

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            self.was_reset = True
            return False
        self.received += data
        return bool(data)

    def _rest(self):
        while self._more():
            pass
        return self._take(len(self.received))

    def _take(self, size):
        while len(self.received) < size and self._more():
            pass
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def _chunks(self):
        body = b""
        while True:
            while b"\r\n" not in self.received:
                if not self._more():
                    return body, False
            line, _, self.received = self.received.partition(b"\r\n")
            size = int(line, 16)
            chunk = self._take(size + 2)
            if len(chunk) < size + 2:
                return body + chunk, False
            body += chunk[:-2]
            if not size:
                return body, True

    def close(self):
        self.socket.close()
