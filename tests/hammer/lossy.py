"""A way to the database on which answers get lost, those of commits among them."""

import contextlib
import random
import socket
import threading
from collections.abc import Iterator

BLOCK = 65536


class Lossy:
    """Hands bytes on between its port of the loopback and ``target``.

    While ``odds`` is not 0 it breaks a connection instead of handing an answer on, that
    often: the server has done what it was asked, and nobody knows.
    """

    def __init__(self, target: tuple[str, int], chance: random.Random) -> None:
        self._target = target
        self._chance = chance
        self.odds = 0.0
        self.lost = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for ends in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, is_answer: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(BLOCK):
                if is_answer and self._chance.random() < self.odds:
                    self.lost += 1
                    break
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def between(target: tuple[str, int], chance: random.Random) -> Iterator[Lossy]:
    made = Lossy(target, chance)
    try:
        yield made
    finally:
        made.close()
