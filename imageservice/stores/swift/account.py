"""An account of Swift: tokens, connections, and its errors in our words.

All of it runs in request code, never in a native thread: swiftclient talks through plain
sockets, which in the daemon hold up only the greenlet that waits for them.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import requests
import swiftclient
import urllib3
from keystoneauth1 import exceptions as keystone
from keystoneauth1 import session
from keystoneauth1.identity import v3

from imageservice import errors
from imageservice.stores.swift.settings import Login, Settings

LOG = logging.getLogger(__name__)

T = TypeVar("T")

IDLE = 8
"""Connections that are kept for the next request."""

REMEMBERED = 5000
"""Names of one listing."""

# Any: swiftclient is not typed.
Connection = tuple[Any, Any]


class Account:
    """What can be done in one account. ``store`` is the store's id, for errors.

    Methods raise swiftclient's and other errors; ``translated`` makes ours of them.
    """

    def __init__(self, store: str, login: Login, settings: Settings) -> None:
        self.store = store
        self.login = login
        self._settings = settings
        self._lock = threading.Lock()
        self._entry: tuple[str, str] | None = None  # of version 1: URL and token
        self._plugin: v3.Password | v3.ApplicationCredential | None = None
        self._session: session.Session | None = None
        self._idle: list[tuple[str, Connection]] = []

    # --- tokens ---

    def _access(self) -> tuple[str, str]:
        """The account's URL and a token that is good for a while."""
        if self.login.version == "1":
            return self._simple()
        plugin, keystone_session = self._keystone()
        token = plugin.get_token(keystone_session) or ""
        url = self._settings.endpoint or plugin.get_endpoint(
            keystone_session,
            service_type=self._settings.service,
            interface=self._settings.interface,
            region_name=self._settings.region,
        )
        if not url:
            place = self._settings.region or "any region"
            reason = f"the catalog has no {self._settings.interface} of {self._settings.service} in {place}"
            raise errors.StoreUnavailable(store=self.store, reason=reason)
        return url.rstrip("/"), token

    def _simple(self) -> tuple[str, str]:
        with self._lock:
            if self._entry is None:
                verify = self._settings.verify
                url, token = swiftclient.client.get_auth_1_0(
                    self.login.address,
                    self.login.user,
                    self.login.key,
                    cacert=verify if isinstance(verify, str) else None,
                    insecure=verify is False,
                    timeout=self._settings.timeout_s,
                )
                self._entry = (self._settings.endpoint or url).rstrip("/"), token
            return self._entry

    def _keystone(
        self,
    ) -> tuple[v3.Password | v3.ApplicationCredential, session.Session]:
        with self._lock:
            if self._plugin is None or self._session is None:
                self._plugin = self._make_plugin()
                self._plugin.MIN_TOKEN_LIFE_SECONDS = self._settings.renew_s
                self._session = session.Session(
                    auth=self._plugin,
                    verify=self._settings.verify,
                    timeout=self._settings.timeout_s,
                )
            return self._plugin, self._session

    def _make_plugin(self) -> v3.Password | v3.ApplicationCredential:
        login = self.login
        if login.credential:
            return v3.ApplicationCredential(
                login.address,
                application_credential_id=login.credential,
                application_credential_secret=login.secret,
            )
        return v3.Password(
            login.address,
            username=login.user,
            password=login.key,
            user_domain_id=login.user_domain_id,
            user_domain_name=login.user_domain_name,
            project_id=login.project_id,
            project_name=login.project_name,
            project_domain_id=login.project_domain_id,
            project_domain_name=login.project_domain_name,
        )

    def _forget(self, token: str) -> None:
        """Do not use that token again; one that is newer stays."""
        with self._lock:
            if self._entry and self._entry[1] == token:
                self._entry = None
        plugin = self._plugin
        if plugin and plugin.auth_ref and plugin.auth_ref.auth_token == token:
            plugin.invalidate()

    # --- connections ---

    def _take(self, url: str) -> Connection:
        with self._lock:
            for number, (address, _) in enumerate(self._idle):
                if address == url:
                    return self._idle.pop(number)[1]
        verify = self._settings.verify
        connection: Connection = swiftclient.client.http_connection(
            url,
            cacert=verify if isinstance(verify, str) else None,
            insecure=verify is False,
            timeout=self._settings.timeout_s,
        )
        return connection

    def _give(self, url: str, connection: Connection) -> None:
        with self._lock:
            if len(self._idle) < IDLE:
                self._idle.append((url, connection))
                return
        connection[1].close()

    def _ask(self, function: Callable[..., T], *args: Any, **more: Any) -> T:
        """Call one of swiftclient's functions; a token that is refused is renewed once."""
        with self._conversation(function, *args, **more) as answer:
            return answer

    @contextlib.contextmanager
    def _conversation(
        self, function: Callable[..., T], *args: Any, again: bool = True, **more: Any
    ) -> Iterator[T]:
        """As ``_ask``; the connection is kept for the block, and closed if that breaks."""
        url, token = self._access()
        connection = self._take(url)
        try:
            try:
                answer = function(url, token, *args, http_conn=connection, **more)
            except swiftclient.ClientException as error:
                if error.http_status != 401 or not again:
                    raise
                LOG.info("store %s: a token was refused, fetching another", self.store)
                self._forget(token)
                url, token = self._access()
                answer = function(url, token, *args, http_conn=connection, **more)
            yield answer
        except BaseException:
            connection[1].close()
            raise
        self._give(url, connection)

    # --- objects ---

    def head(self, container: str, name: str) -> dict[str, str] | None:
        """The headers of an object, from the newest copy of it; None if there is none."""
        found: dict[str, str] | None = self._unless_missing(
            swiftclient.head_object, container, name, headers={"X-Newest": "true"}
        )
        return found

    def put(
        self,
        container: str,
        name: str,
        data: bytes,
        headers: Mapping[str, str],
        query: str | None = None,
    ) -> None:
        self._ask(
            swiftclient.put_object,
            container,
            name,
            contents=data,
            content_length=len(data),
            content_type="application/octet-stream",
            headers=dict(headers),
            query_string=query,
        )

    def put_manifest(
        self, container: str, name: str, data: bytes, headers: Mapping[str, str]
    ) -> None:
        self.put(container, name, data, headers, "multipart-manifest=put")

    def stream(self, container: str, name: str, blocks: Iterator[Any]) -> str:
        """Store an object of a size not yet known; return its ETag, the MD5."""
        # Blocks that were sent cannot be sent again, so it is not tried again.
        etag: str = self._ask(
            swiftclient.put_object,
            container,
            name,
            contents=blocks,
            content_type="application/octet-stream",
            again=False,
        )
        return etag

    @contextlib.contextmanager
    def open(
        self, container: str, name: str, headers: Mapping[str, str], block: int
    ) -> Iterator[tuple[dict[str, str], Any]]:
        """The headers and the body of an object, or of a part of it."""
        with self._conversation(
            swiftclient.get_object,
            container,
            name,
            resp_chunk_size=block,
            headers={"Accept-Encoding": "identity", **headers},
        ) as answer:
            yield answer

    def manifest(self, container: str, name: str) -> bytes:
        """What an SLO is made of, as JSON."""
        _, body = self._ask(
            swiftclient.get_object,
            container,
            name,
            query_string="multipart-manifest=get",
        )
        return bytes(body)

    def delete(self, container: str, name: str) -> bool:
        """Returns False if nothing was there."""
        done = self._unless_missing(swiftclient.delete_object, container, name, found=1)
        return done is not None

    def _unless_missing(
        self, function: Callable[..., Any], *args: Any, found: Any = None, **more: Any
    ) -> Any:
        try:
            return self._ask(function, *args, **more) or found
        except swiftclient.ClientException as error:
            if error.http_status == 404:
                return None
            raise

    def names(self, container: str, prefix: str) -> list[str]:
        """At most ``REMEMBERED`` names that begin so; none if the container is missing."""
        listing = self._unless_missing(
            swiftclient.get_container, container, prefix=prefix, limit=REMEMBERED
        )
        return [entry["name"] for entry in listing[1]] if listing else []

    # --- containers ---

    def make(self, container: str) -> None:
        self._ask(swiftclient.put_container, container)

    def has(self, container: str) -> bool:
        return (
            self._unless_missing(swiftclient.head_container, container, found={})
            is not None
        )

    def look(self) -> None:
        """Only see whether the account can be reached."""
        self._ask(swiftclient.head_account)


@contextlib.contextmanager
def translated(store: str, key: str) -> Iterator[None]:
    """Make of errors of Swift, Keystone and the network those of a store."""
    try:
        yield
    except swiftclient.ClientException as error:
        raise _answered(store, key, error) from error
    except (keystone.Unauthorized, keystone.Forbidden) as error:
        LOG.error("store %s: Keystone refuses its account: %s", store, error)
        reason = "Keystone does not accept its account"
        raise errors.StoreDenied(store=store, reason=reason) from error
    except keystone.ClientException as error:
        LOG.error("store %s: Keystone: %s", store, error)
        reason = "Keystone does not answer as it should"
        raise errors.StoreUnavailable(store=store, reason=reason) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        LOG.error("store %s: %s", store, error)
        reason = f"the connection broke or timed out ({type(error).__name__})"
        raise errors.StoreUnavailable(store=store, reason=reason) from error


def _answered(store: str, key: str, error: swiftclient.ClientException) -> errors.Error:
    status = error.http_status
    if status == 404:
        return errors.KeyNotFound(store=store, key=key)
    LOG.error("store %s: %s", store, error)
    if status in (401, 403):
        reason = "Swift does not accept its account, or it may not do this there"
        return errors.StoreDenied(store=store, reason=reason)
    if status in (413, 507):
        return errors.StoreFull(store=store, reason=f"Swift answered {status}")
    if status == 409:
        reason = f"some of the data of {key} is missing"
        return errors.StoreUnavailable(store=store, reason=reason)
    reason = f"Swift answered {status}" if status else "Swift's login failed"
    return errors.StoreUnavailable(store=store, reason=reason)
