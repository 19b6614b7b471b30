"""gzip for JSON answers. Image data is never touched: it goes by as the body it is."""

import dataclasses
import gzip
import re
from collections.abc import Iterable, Mapping
from typing import Any

from imageservice import errors
from imageservice.api.answer import Application, Body, Environ, Headers, StartResponse
from imageservice.stores.driver import Workers

LARGE = 65536
"""Bytes beyond which compressing takes long enough to do it in a native thread."""

OPTIONS = ("level", "minimum")


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """``minimum`` is the bytes of an answer that is worth it."""

    level: int
    minimum: int

    @classmethod
    def read(cls, given: Mapping[str, str]) -> "Options":
        """Read a section of the Paste file. Raises Misconfigured."""
        unknown = [name for name in given if name not in OPTIONS]
        if unknown:
            raise _misconfigured(unknown[0], f"only {' and '.join(OPTIONS)} are known")
        return cls(
            level=_whole(given, "level", "1", 1, 9),
            minimum=_whole(given, "minimum", "1024", 1, 2**30),
        )


def _whole(
    given: Mapping[str, str], name: str, default: str, least: int, most: int
) -> int:
    text = given.get(name, default).strip()
    if not (text.isdecimal() and least <= int(text) <= most):
        raise _misconfigured(name, f"'{text}' is no number from {least} to {most}")
    return int(text)


def _misconfigured(name: str, why: str) -> errors.Misconfigured:
    reason = f"the filter of gzip_factory, {name}: {why}. Correct the Paste file."
    return errors.Misconfigured(reason=reason)


class Gzip:
    """Compress JSON that is long enough for a client that says it can read it.

    Caches are told that the answer depends on Accept-Encoding, compressed or not.
    """

    def __init__(self, app: Application, options: Options, workers: Workers) -> None:
        self._app = app
        self._options = options
        self._workers = workers

    def __call__(self, environ: Environ, start_response: StartResponse) -> Body:
        if environ["REQUEST_METHOD"] == "HEAD":
            return self._app(environ, start_response)
        answer = _Answer(start_response, self._options.minimum)
        body = self._app(environ, answer.start)
        answer.is_late = True
        if not answer.is_held:
            return body
        if not accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
            answer.go([])
            return body
        return self._compressed(answer, body)

    def _compressed(self, answer: "_Answer", body: Body) -> Body:
        plain = _joined(body)
        squeeze = self._workers.run if len(plain) >= LARGE else _now
        packed: bytes = squeeze(_pack, plain, self._options.level)
        answer.go([("Content-Encoding", "gzip"), ("Content-Length", str(len(packed)))])
        return (packed,)


class _Answer:
    """Holds the head of an answer back if the answer is one to compress."""

    def __init__(self, start_response: StartResponse, minimum: int) -> None:
        self._start_response = start_response
        self._minimum = minimum
        self.is_late = False  # an answer that begins with its body is not held any more
        self._held: tuple[str, Headers, tuple[Any, ...]] | None = None

    @property
    def is_held(self) -> bool:
        return self._held is not None

    def start(self, status: str, headers: Headers, *exc_info: Any) -> Any:
        lowered = {name.lower(): value for name, value in headers}
        if not self.is_late and self._fits(status, lowered):
            self._held = (status, headers, exc_info)
            # PEP 3333's write(): nothing here uses it, and what it took could not be
            # compressed any more.
            return _no_write
        self._held = None
        return self._start_response(status, headers, *exc_info)

    def _fits(self, status: str, headers: Mapping[str, str]) -> bool:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        length = headers.get("content-length", "")
        return (
            kind == "application/json"
            and status[:3] not in ("204", "206", "304")
            and "content-range" not in headers
            and "content-encoding" not in headers
            and "no-transform" not in headers.get("cache-control", "")
            # Without a length it is a stream.
            and length.isdecimal()
            and int(length) >= self._minimum
        )

    def go(self, more: Headers) -> None:
        """Begin the answer with these headers, if any, instead of its own."""
        assert self._held is not None
        status, headers, exc_info = self._held
        names = {name.lower() for name, _ in more}
        kept = [pair for pair in headers if pair[0].lower() not in names]
        vary = [value for name, value in kept if name.lower() == "vary"]
        kept = [pair for pair in kept if pair[0].lower() != "vary"]
        if more:
            kept = [_weakened(*pair) for pair in kept]
        if "accept-encoding" not in ", ".join(vary).lower():
            vary.append("Accept-Encoding")
        self._start_response(
            status, [*kept, *more, ("Vary", ", ".join(vary))], *exc_info
        )


def _weakened(name: str, value: str) -> tuple[str, str]:
    """A strong ETag promises the same bytes; compressed ones are others."""
    if name.lower() == "etag" and not value.startswith("W/"):
        return name, f"W/{value}"
    return name, value


def _no_write(data: bytes) -> None:
    raise AssertionError("write() is not to be used for an answer with a length")


def _joined(body: Iterable[bytes | bytearray | memoryview]) -> bytes:
    try:
        return b"".join(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


def _now(function: Any, /, *args: Any) -> Any:  # as Workers.run
    return function(*args)


def _pack(plain: bytes, level: int) -> bytes:
    # The same bytes each time: no time of day in the header.
    return gzip.compress(plain, level, mtime=0)


_Q = re.compile(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", re.IGNORECASE)


def accepts_gzip(header: str) -> bool:
    """Tell whether an Accept-Encoding allows gzip, and does not prefer the plain form.

    Source: RFC 9110, section 12.5.3. A weight that cannot be read counts as 0.
    """
    weights: dict[str, float] = {}
    for item in header.split(","):
        coding, semicolon, parameter = item.partition(";")
        weight = 1.0
        if semicolon:
            match = _Q.fullmatch(parameter)
            weight = float(match[1]) if match else 0.0
        name = coding.strip().lower()
        weights[{"x-gzip": "gzip"}.get(name, name)] = weight
    packed = weights.get("gzip", weights.get("*", 0.0))
    return packed > 0 and packed >= weights.get("identity", 0.0)
