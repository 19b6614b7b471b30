"""The way into Swift: the address of an account, and tokens that are good for a while."""

import contextlib
import threading
import time
from collections.abc import Iterator

import swiftclient
from keystoneauth1 import session
from keystoneauth1.identity import v3

from imageservice import errors
from imageservice.stores.swift.settings import Login, Settings


class Tokens:
    """Those of one login. ``store`` is the store's id, for errors.

    One login is in flight; who needs it waits, as long as a login may take, and fails with
    it: many that wait for a Keystone that hangs do not ask it one after the other.

    Methods raise swiftclient's and keystoneauth's errors.
    """

    def __init__(self, store: str, login: Login, settings: Settings) -> None:
        self.store = store
        self.login = login
        self._settings = settings
        self._turn = threading.Lock()
        self._failure: tuple[float, Exception] | None = None  # when the last one was
        self._entry: tuple[str, str] | None = None  # of version 1: URL and token
        self._plugin: v3.Password | v3.ApplicationCredential | None = None
        self._session: session.Session | None = None

    def access(self, project: str | None = None) -> tuple[str, str]:
        """The URL of an account and a token that is good for a while.

        The account is that of ``project``, None: the login's own.
        """
        with self._in_turn():
            if self.login.version == "1":
                url, token = self._simple()
            else:
                url, token = self._of_keystone()
            return self._led(url, project), token

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Hold whatever may log in; keystoneauth's own lock knows no deadline."""
        asked = time.monotonic()
        if not self._turn.acquire(timeout=self._settings.timeout_s):
            reason = "somebody's login takes too long"
            raise errors.StoreUnavailable(store=self.store, reason=reason)
        try:
            if self._failure and self._failure[0] >= asked:
                raise self._failure[1]
            try:
                yield
            except Exception as error:  # of any kind: it goes to all that wait
                self._failure = time.monotonic(), error
                raise
        finally:
            self._turn.release()

    def address(self, project: str | None) -> str:
        """The account's URL for clients, who may know Swift by another one."""
        known = self._settings.redirect_endpoint
        if not known:
            return self.access(project)[0]
        with self._in_turn():
            return self._led(known, project)

    def _led(self, url: str, project: str | None) -> str:
        """The URL of the account of another project: ours, with its id in place of ours."""
        if project is None:
            return url
        own = self._project()
        if not own or not url.endswith(own):
            reason = "the address of its account does not end in the id of its project"
            raise errors.StoreUnavailable(store=self.store, reason=reason)
        return url.removesuffix(own) + project

    def project(self) -> str | None:
        """The id of the login's own project, None if it is not Keystone's."""
        with self._in_turn():
            return self._project()

    def _project(self) -> str | None:
        if self.login.version == "1":
            return None
        plugin, keystone_session = self._keystone()
        return plugin.get_project_id(keystone_session)

    def _of_keystone(self) -> tuple[str, str]:
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

    def forget(self, token: str) -> None:
        """Do not use that token again; one that is newer stays."""
        with self._in_turn():
            if self._entry and self._entry[1] == token:
                self._entry = None
            plugin = self._plugin
            if plugin and plugin.auth_ref and plugin.auth_ref.auth_token == token:
                plugin.invalidate()
