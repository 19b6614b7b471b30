"""From error to answer: the one table of statuses, and the bodies clients expect."""

import html
from collections.abc import Mapping
from typing import Any

import orjson
from webob import acceptparse

from imageservice import errors
from imageservice.api import answer
from imageservice.api.answer import STATUS_LINES, TITLES, Answer, Headers

#: Looked up along the class order of an error: the nearest class that is here counts.
STATUS: Mapping[type[errors.Error], int] = {
    errors.Error: 500,
    errors.Misconfigured: 500,
    errors.BadRequest: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.NoData: 204,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.QuotaExceeded: 413,
    errors.UnsupportedMedia: 415,
    errors.RangeNotSatisfiable: 416,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
}

INTERNAL = "The server has failed. Tell its operator the request id of this answer."


def status_of(kind: type[errors.Error]) -> int:
    """The HTTP status of an error class."""
    return next(STATUS[base] for base in kind.__mro__ if base in STATUS)


def answer_to(error: errors.Error, environ: Mapping[str, Any]) -> Answer:
    """Build the answer that tells the caller about an error."""
    status = status_of(type(error))
    if status == 204:
        return answer.EMPTY
    # What one error alone has to say in a header stands with its class.
    headers: Headers = list(getattr(error, "headers", ()))
    if isinstance(error, errors.RangeNotSatisfiable):
        headers.append(("Content-Range", f"bytes */{error.values['size']}"))
    if isinstance(error, errors.TooManyRequests):
        headers.append(("Retry-After", str(error.values["seconds"])))
    message = INTERNAL if status == 500 else str(error)
    return refusal(status, message, environ, headers)


def refusal(
    status: int,
    message: str,
    environ: Mapping[str, Any],
    headers: Headers | None = None,
) -> Answer:
    """Build an answer whose body says ``message`` in the form the client asked for.

    Without Accept it is text, for */* and text/html HTML (glanceclient parses that, and
    fails on JSON), for application/json an object (images.md §2.1).
    """
    kind = "application/json"
    form = _form(environ.get("HTTP_ACCEPT", ""))
    line, title = STATUS_LINES[status], TITLES[status]
    if form == "application/json":
        body = orjson.dumps({"message": message, "code": line, "title": title})
    elif form == "text/html":
        kind = "text/html; charset=UTF-8"
        body = HTML.format(line=line, message=html.escape(message)).encode()
    else:
        kind = "text/plain; charset=UTF-8"
        body = f"{line}\n\n{message}\n\n".encode()
    if environ.get("REQUEST_METHOD") == "HEAD":
        body = b""
    return Answer(status, [("Content-Type", kind), *(headers or [])], body)


# Clients that strip the tags line by line get "404 Not Found: message" out of it.
HTML = """<html>
 <head>
  <title>{line}</title>
 </head>
 <body>
  <h1>{line}</h1>
  {message}<br /><br />
 </body>
</html>
"""


# WebOb has no types.
_parsed: Any = acceptparse.create_accept_header


def _form(accept: str) -> str:
    offers = _parsed(accept).acceptable_offers(["text/html", "application/json"])
    return str(offers[0][0]) if offers else "text/plain"
