"""HTTP/1.1 and 1.0 on one connection: requests in, answers out, until it ends.

After anything that is not clearly HTTP the connection is closed, so that no client and
no proxy in front can disagree with us about where the next request begins.
"""

import logging
import sys
import uuid
from collections.abc import Callable
from typing import NamedTuple

from imageservice import errors
from imageservice.stores.driver import Workers
from imageservice.wsgi import response
from imageservice.wsgi.body import Body, ChunkedBody
from imageservice.wsgi.files import FileWrapper
from imageservice.wsgi.head import Environ, Head, Refused
from imageservice.wsgi.incoming import Incoming
from imageservice.wsgi.options import Settings
from imageservice.wsgi.transport import Gone, Transport

LOG = logging.getLogger(__name__)

DRAIN = 64 * 1024
"""Bytes of an unread body that are read away to keep the connection."""


class Site(NamedTuple):
    """What the connections of a process share.

    ``may_keep`` is asked before each answer whether the connection may be kept after it.
    """

    app: response.Wsgi
    workers: Workers
    settings: Settings
    may_keep: Callable[[], bool]


class Addresses(NamedTuple):
    """Both ends of a connection; ``client`` and its port are empty on a unix socket."""

    server: str
    server_port: str
    client: str
    client_port: str


def environ_of(addresses: Addresses, *, secure: bool, multiprocess: bool) -> Environ:
    """Make the part of the environ that all requests of a connection share."""
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": addresses.server,
        "SERVER_PORT": addresses.server_port,
        "REMOTE_ADDR": addresses.client,
        "REMOTE_PORT": addresses.client_port,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if secure else "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }


class Connection:
    """Serves the requests of one client, one after the other."""

    def __init__(self, site: Site, transport: Transport, environ: Environ) -> None:
        self._site = site
        self._transport = transport
        self._environ = environ
        self._incoming = Incoming(transport)

    def serve(self) -> None:
        """Serve until the client or we have had enough; close in any case."""
        try:
            while self._serve_one():
                pass
        except (Gone, errors.BodyBroken) as error:
            LOG.debug("%s has left: %s", self._environ["REMOTE_ADDR"], error)
        except response.Aborted as error:
            LOG.warning(
                "an answer to %s was broken off: %s",
                self._environ["REMOTE_ADDR"],
                error,
            )
            self._transport.abort()
        finally:
            self._transport.close()

    def _serve_one(self) -> bool:
        """Serve a request; return whether another one may come."""
        settings = self._site.settings
        try:
            data = self._incoming.head(
                settings.max_header_line,
                settings.max_head,
                settings.client_head_timeout,
            )
            if not data:
                return False
            environ = self._environ.copy()
            head = Head(data, environ)
        except Refused as error:
            self._refuse(error)
            return False
        return self._answer(head, environ)

    def _answer(self, head: Head, environ: Environ) -> bool:
        may_keep = self._site.may_keep
        answer = response.Response(
            self._transport, head, lambda: body.is_at_most(DRAIN) and may_keep()
        )
        body = self._body(head, answer)
        environ["wsgi.input"] = body
        response.answer(answer, self._site.app, environ, self._site.workers)
        if answer.keeps:
            # What is left of the body is small: it must be out of the way of the next head.
            body.read()
            return True
        self._transport.linger()
        return False

    def _body(self, head: Head, answer: response.Response) -> Body:
        def go_ahead() -> None:
            if answer.is_sent:
                raise Gone("the body was refused before it was read")
            self._transport.send(b"HTTP/1.1 100 Continue\r\n\r\n")

        asked = go_ahead if head.expects else None
        if head.length is None:
            return ChunkedBody(self._incoming, asked)
        return Body(self._incoming, head.length, asked)

    def _refuse(self, error: Refused) -> None:
        # No filter sees such a request, so its id is made here.
        request_id = f"req-{uuid.uuid4()}"
        LOG.info(
            "refused a request of %s: %s, %s",
            self._environ["REMOTE_ADDR"],
            error.reason,
            request_id,
        )
        text = f"{error.reason}\n".encode()
        self._transport.send(
            f"HTTP/1.1 {error.status}\r\n{response.date()}\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            f"x-openstack-request-id: {request_id}\r\n"
            f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode()
            + text
        )
        self._transport.linger()
