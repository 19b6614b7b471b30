"""A wire to a server that can be cut: a proxy for TCP, on loopback."""

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from typing import Self


class Wire:
    """Listens at ``url`` and passes everything on to ``port``, used as a context.

    ``cut_after`` bytes of answers, counted from when it is set, every connection breaks,
    once. ``swallows``: when a request holds these bytes, the answer to it is not passed
    on, and the connection breaks, once. ``on_cut`` is called then.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.cut_after: int | None = None
        self.swallows: bytes | None = None
        self.on_cut: Callable[[], object] = lambda: None
        self.cuts = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            far = socket.create_connection(("127.0.0.1", self._port))
            with far:
                self._pass(near, far)

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        silent = False
        ends = {near.fileno(): near, far.fileno(): far}
        ready = (
            select.poll()
        )  # a run of all tests has more descriptors than select() takes
        for number in ends:
            ready.register(number, select.POLLIN)
        while True:
            for number, _ in ready.poll():
                source = ends[number]
                data = source.recv(65536)
                if not data:
                    return
                if source is near:
                    if self.swallows and self.swallows in data:
                        self.swallows, silent = None, True
                    far.sendall(data)
                    continue
                if silent or self._is_cut(data):
                    self.cuts += 1
                    self.on_cut()
                    return
                near.sendall(data)

    def _is_cut(self, data: bytes) -> bool:
        if self.cut_after is None:
            return False
        self.cut_after -= len(data)
        if self.cut_after >= 0:
            return False
        self.cut_after = None
        return True
