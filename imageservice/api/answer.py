"""What a handler gives back, and how it becomes a WSGI answer."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

Environ = dict[str, Any]  # WSGI's own, PEP 3333
Headers = list[tuple[str, str]]
StartResponse = Callable[..., Any]
Body = Iterable[bytes | bytearray | memoryview]
Application = Callable[[Environ, StartResponse], Body]

TITLES: Mapping[int, str] = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    206: "Partial Content",
    300: "Multiple Choices",
    302: "Found",
    304: "Not Modified",
    307: "Temporary Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    416: "Request Range Not Satisfiable",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}

STATUS_LINES = {code: f"{code} {title}" for code, title in TITLES.items()}

# Times are UTC without zone inside, and shown in whole seconds with Z (images.md §1.3).
JSON_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS


class Answer(NamedTuple):
    """Status, headers and body; the body is bytes, or an iterable that has its length
    in a header and is handed to the server as it is (a file that it can send).
    """

    status: int
    headers: Headers
    body: bytes | Body = b""

    def send(self, start_response: StartResponse) -> Body:
        headers = self.headers
        if isinstance(self.body, bytes):
            if self.status not in (204, 304):
                headers = [*headers, ("Content-Length", str(len(self.body)))]
            start_response(STATUS_LINES[self.status], headers)
            return (self.body,)
        start_response(STATUS_LINES[self.status], headers)
        return self.body


def json(
    value: object, status: int = 200, headers: Iterable[tuple[str, str]] = ()
) -> Answer:
    """Answer with a JSON document: UTF-8, no charset parameter (images.md §1.1)."""
    document = orjson.dumps(value, option=JSON_OPTIONS)
    return Answer(status, [("Content-Type", "application/json"), *headers], document)


EMPTY = Answer(204, [])
