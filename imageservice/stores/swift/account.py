"""An account of Swift: its objects, its containers and its temporary URLs."""

import contextlib
import datetime
import email.utils
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import swiftclient

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.swift import temporary
from imageservice.stores.swift.conversations import Conversations
from imageservice.stores.swift.settings import Settings

T = TypeVar("T")

REMEMBERED = 5000
"""Names of one listing."""


class Account:
    """What can be done in the account of ``project``, None: in the login's own.

    ``store`` is the store's id, for errors.

    Methods raise swiftclient's and other errors; ``faults.translated`` makes ours of them.
    """

    def __init__(
        self, talk: Conversations, settings: Settings, project: str | None = None
    ) -> None:
        self.store = talk.tokens.store
        self._talk = talk
        self._settings = settings
        self._project = project

    def of(self, project: str) -> "Account":
        """The account of another project, as far as the login may do something there."""
        return Account(self._talk, self._settings, project)

    @property
    def who(self) -> str:
        """The account for people; two stores of one account have the same."""
        return self._talk.tokens.login.who

    def is_of(self, project: str) -> bool:
        """Tell whether the login's own account is that of ``project``."""
        return self._talk.tokens.project() == project

    def _ask(self, function: Callable[..., T], *args: Any, **more: Any) -> T:
        return self._talk.ask(self._project, function, *args, **more)

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

    def mark(self, container: str, name: str) -> None:
        """Put an empty object, in a container that is made if it is missing and may be."""
        try:
            self.put(container, name, b"", {})
        except swiftclient.ClientException as error:
            if error.http_status != 404:
                raise
            if not self._settings.create:
                reason = f"the container {container} is missing"
                raise errors.StoreUnavailable(
                    store=self.store, reason=reason
                ) from error
            self.make(container)
            self.put(container, name, b"", {})

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
        with self._talk.hold(
            self._project,
            swiftclient.get_object,
            container,
            name,
            resp_chunk_size=block,
            headers={"Accept-Encoding": "identity", **headers},
        ) as answer:
            yield answer

    def segments(self, container: str, name: str) -> list[str] | None:
        """What an SLO is made of, as ``container/name``; None if that is not told."""
        try:
            with self._talk.hold(
                self._project,
                swiftclient.get_object,
                container,
                name,
                resp_chunk_size=BLOCK,
                query_string="multipart-manifest=get",
            ) as (headers, body):
                if not headers["content-type"].startswith("application/json"):
                    raise _NotTold  # the image itself, as Ceph's gateway has it
                manifest = json.loads(b"".join(body))
        except _NotTold:
            return None
        except swiftclient.ClientException as error:
            if error.http_status != 404:
                raise
            return []
        return [entry["name"].lstrip("/") for entry in manifest]

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

    def listing(
        self, container: str, prefix: str = "", delimiter: str = "/"
    ) -> Iterator[Mapping[str, Any]]:
        """Names that begin so, in order, each with ``age_s``; none without container.

        Those that go on beyond a ``delimiter`` are told as one entry, their ``subdir``.
        """
        marker = ""
        while True:
            found = self._unless_missing(
                swiftclient.get_container,
                container,
                marker=marker,
                prefix=prefix,
                delimiter=delimiter,
                limit=REMEMBERED,
            )
            if not found or not found[1]:
                return
            headers, entries = found
            now = email.utils.parsedate_to_datetime(headers["date"])
            for entry in entries:
                if "subdir" not in entry:
                    entry["age_s"] = (
                        now - _moment(entry["last_modified"])
                    ).total_seconds()
                yield entry
            marker = entries[-1].get("name") or entries[-1]["subdir"]

    # --- containers ---

    def containers(self, prefix: str) -> Iterator[str]:
        """The names of all containers that begin so."""
        marker = ""
        while True:
            _, entries = self._ask(
                swiftclient.get_account, marker=marker, prefix=prefix, limit=REMEMBERED
            )
            if not entries:
                return
            for entry in entries:
                yield entry["name"]
            marker = entries[-1]["name"]

    def make(self, container: str) -> None:
        """Make a container, which projects of ``swift_store_admin_tenants`` may use, too."""
        who = ",".join(f"{project}:*" for project in self._settings.admins)
        headers = {}
        if self._project and who:
            headers = {"X-Container-Read": who, "X-Container-Write": who}
        self._ask(swiftclient.put_container, container, headers=headers)

    def unmake(self, container: str) -> None:
        """Remove a container if it is empty."""
        try:
            self._unless_missing(swiftclient.delete_container, container)
        except swiftclient.ClientException as error:
            if error.http_status != 409:
                raise

    def has(self, container: str) -> bool:
        return (
            self._unless_missing(swiftclient.head_container, container, found={})
            is not None
        )

    def look(self) -> None:
        """Only see whether the account can be reached; it may not exist yet."""
        self._unless_missing(swiftclient.head_account)

    # --- temporary URLs ---

    def temporary(self, container: str, name: str, lifetime_s: int) -> str:
        """The URL of an object for so many seconds. Raises StoreDenied without a key."""
        chosen = self._settings
        # Accounts of projects do not have the store's key.
        key = (not self._project and chosen.temp_url_key) or self._temporary_key()
        address = self._talk.tokens.address(self._project)
        path = f"{container}/{name}"
        return temporary.url(address, path, key, chosen.temp_url_digest, lifetime_s)

    def _temporary_key(self) -> str:
        headers: dict[str, str] = self._ask(swiftclient.head_account)
        key = headers.get("x-account-meta-temp-url-key")
        if not key:
            reason = "its account has no key for temporary URLs"
            raise errors.StoreDenied(store=self.store, reason=reason)
        return key


class _NotTold(Exception):
    """Closes the connection upon an answer that is not wanted."""


def _moment(text: str) -> datetime.datetime:
    """What listings tell, as 2015-05-04T03:02:01.123456: UTC without zone."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
