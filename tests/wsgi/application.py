"""A small application that does at each path what a server has to cope with."""

import io
import json
import os
import time
from urllib.parse import parse_qs

from imageservice import errors


class Application:
    """``greeting`` shows which configuration the process was built from."""

    background = ()

    def __init__(self, workers, folder, greeting):
        self.workers = workers
        self.folder = folder
        self.greeting = greeting

    def __call__(self, environ, start_response):
        name = environ["PATH_INFO"].strip("/").partition("/")[0] or "hello"
        page = getattr(self, name, None)
        if page is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"no such page\n"]
        values = {k: v[0] for k, v in parse_qs(environ["QUERY_STRING"]).items()}
        return page(environ, start_response, **values)

    def hello(self, environ, start_response, **ignored):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [self.greeting.encode()]

    def pid(self, environ, start_response):
        start_response("200 OK", [])
        return [str(os.getpid()).encode()]

    def environ(self, environ, start_response, **ignored):
        start_response("200 OK", [("Content-Type", "application/json")])
        strings = {k: v for k, v in environ.items() if isinstance(v, str)}
        return [json.dumps(strings).encode()]

    def echo(self, environ, start_response):
        body = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [body]

    def pieces(self, environ, start_response, size="7"):
        """Read in pieces of ``size``, and answer them one by one."""
        pieces = list(iter(lambda: environ["wsgi.input"].read(int(size)), b""))
        start_response("200 OK", [])
        return iter(pieces)

    def lines(self, environ, start_response):
        start_response("200 OK", [])
        return [json.dumps([line.decode() for line in environ["wsgi.input"]]).encode()]

    def into(self, environ, start_response, size="100000"):
        """Read with readinto, and answer the number of bytes and their sum."""
        buffer = memoryview(bytearray(int(size)))
        total = checksum = 0
        while count := environ["wsgi.input"].readinto(buffer):
            total += count
            checksum += sum(buffer[:count])
        start_response("200 OK", [])
        return [f"{total} {checksum}".encode()]

    def some(self, environ, start_response, size="3"):
        """Read a part of the body only."""
        body = environ["wsgi.input"].read(int(size))
        start_response("200 OK", [])
        return [body]

    def ignore(self, environ, start_response):
        start_response("403 Forbidden", [])
        return [b"not read\n"]

    def late(self, environ, start_response):
        """Begin the answer, and read the body only then."""
        write = start_response("200 OK", [("Content-Length", "2")])
        write(b"o")
        try:
            environ["wsgi.input"].read()
        except Exception:
            return [b"!"]
        return [b"k"]

    def status(self, environ, start_response, code="204"):
        start_response(f"{code} As Asked", [("X-Test", "1")])
        return [b"" if code in ("204", "304") else b"body"]

    def generated(self, environ, start_response, fail=""):
        start_response("200 OK", [])
        yield b""
        yield b"one,"
        yield b"two"
        if fail:
            raise RuntimeError("asked to fail")

    def short(self, environ, start_response):
        start_response("200 OK", [("Content-Length", "10")])
        return iter([b"12345"])

    def long(self, environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])
        return iter([b"123", b"456789"])

    def announced(self, environ, start_response, fail=""):
        start_response("200 OK", [("Content-Length", "10")])
        yield b"12345"
        if fail:
            raise RuntimeError("asked to fail")
        yield b"67890"

    def lost(self, environ, start_response):
        start_response("200 OK", [])
        raise errors.StoreUnavailable(store="main", reason="/secret/folder is gone")
        yield b"never"

    def gone(self, environ, start_response):
        start_response("200 OK", [])
        raise errors.KeyNotFound(store="main", key="/secret/folder")
        yield b"never"

    def error(self, environ, start_response, request_id=""):
        environ["openstack.request_id"] = request_id
        raise RuntimeError("asked to fail")

    def split(self, environ, start_response):
        start_response("200 OK", [("X-Test", "a\r\nX-Injected: b")])
        return [b"never"]

    def closing(self, environ, start_response):
        start_response("200 OK", [("Connection", "close")])
        return [b"bye"]

    def written(self, environ, start_response):
        write = start_response("200 OK", [("Content-Length", "6")])
        write(b"abc")
        write(b"def")
        return []

    def wrapped(self, environ, start_response):
        opened = io.FileIO(self.folder / "data")  # the server closes it
        opened.seek(1000)
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](opened)

    def data(self, environ, start_response, offset="0", length="", announce=""):
        """Send a part of the file ``data`` as a driver does."""
        descriptor = os.open(self.folder / "data", os.O_RDONLY)
        left = int(length or os.fstat(descriptor).st_size - int(offset))
        start_response("200 OK", [("Content-Length", announce or str(left))])
        return Part(descriptor, int(offset), left)

    def broken(self, environ, start_response, length="", rest=""):
        """Send the file ``data`` as if it were longer, with ``rest`` to go on with."""
        descriptor = os.open(self.folder / "data", os.O_RDONLY)
        start_response("200 OK", [("Content-Length", length)])
        part = Part(descriptor, 0, int(length))
        if rest:
            part.rest = lambda: iter([rest.encode()])
        return part

    def blocked(self, environ, start_response, seconds="1"):
        """Spend time in a native thread, and only then look for a body."""
        self.workers.run(time.sleep, float(seconds))
        environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"slept"]

    def held(self, environ, start_response):
        """Send a half, and the rest when the file ``release`` is there."""
        start_response("200 OK", [("Content-Length", "4")])
        yield b"ab"
        while not (self.folder / "release").exists():
            time.sleep(0.02)
        yield b"cd"


class Part:
    def __init__(self, descriptor, offset, length):
        self.file = (descriptor, offset, length)

    def __iter__(self):
        descriptor, offset, length = self.file
        while length:
            data = os.pread(descriptor, min(length, 65536), offset)
            if not data:
                return
            offset += len(data)
            length -= len(data)
            yield data

    def close(self):
        os.close(self.file[0])
