"""Requests to Swift, over connections that are kept, with tokens that are renewed.

All of it runs in request code, never in a native thread: swiftclient talks through plain
sockets, which in the daemon hold up only the greenlet that waits for them.
"""

import contextlib
import logging
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import swiftclient

from imageservice.stores.swift.settings import Settings
from imageservice.stores.swift.tokens import Tokens

LOG = logging.getLogger(__name__)

# It would log the beginnings of tokens and of keys whenever the service is told to debug.
logging.getLogger("swiftclient").setLevel(logging.WARNING)

T = TypeVar("T")

IDLE = 8
"""Connections that are kept for the next request."""

# As swiftclient takes it: the account's address, and its own connection, without types.
Connection = tuple[urllib.parse.SplitResult, Any]


class Conversations:
    """With one Swift, as one user of it. Raises swiftclient's and other libraries' errors."""

    def __init__(self, tokens: Tokens, settings: Settings) -> None:
        self.tokens = tokens
        self._settings = settings
        self._lock = threading.Lock()
        self._idle: list[tuple[tuple[str, str], Any]] = []  # by scheme and host

    def ask(
        self, project: str | None, function: Callable[..., T], *args: Any, **more: Any
    ) -> T:
        """Call one of swiftclient's functions; a token that is refused is renewed once.

        It is about the account of ``project``, None: of the login's own.
        """
        with self.hold(project, function, *args, **more) as answer:
            return answer

    @contextlib.contextmanager
    def hold(
        self,
        project: str | None,
        function: Callable[..., T],
        *args: Any,
        again: bool = True,
        **more: Any,
    ) -> Iterator[T]:
        """As ``ask``; the connection is kept for the block, and closed if that breaks."""
        url, token = self.tokens.access(project)
        connection = self._take(url)
        try:
            try:
                answer = function(url, token, *args, http_conn=connection, **more)
            except swiftclient.ClientException as error:
                if error.http_status != 401 or not again:
                    raise
                store = self.tokens.store
                LOG.info("store %s: a token was refused, fetching another", store)
                self.tokens.forget(token)
                url, token = self.tokens.access(project)
                answer = function(url, token, *args, http_conn=connection, **more)
            yield answer
        except BaseException:
            connection[1].close()
            raise
        self._give(connection)

    def _take(self, url: str) -> Connection:
        """A connection for requests to the account at ``url``."""
        parts = urllib.parse.urlsplit(url)
        with self._lock:
            for number, (host, connection) in enumerate(self._idle):
                if host == (parts.scheme, parts.netloc):
                    del self._idle[number]
                    return parts, connection
        verify = self._settings.verify
        made: Connection = swiftclient.client.http_connection(
            url,
            cacert=verify if isinstance(verify, str) else None,
            insecure=verify is False,
            timeout=self._settings.timeout_s,
        )
        return parts, made[1]

    def _give(self, connection: Connection) -> None:
        parts, sockets = connection
        with self._lock:
            if len(self._idle) < IDLE:
                self._idle.append(((parts.scheme, parts.netloc), sockets))
                return
        sockets.close()
