"""Swift stores for tests, and what lies in them."""

import contextlib
import secrets
import uuid
from collections.abc import Iterator
from typing import NamedTuple

import swiftclient

from imageservice.stores.swift import Swift as Store
from imageservice.stores.testing import Threads
from tests.daemon import Daemon
from tests.identity.keystone import Keystone
from tests.stores.backends import TIMEOUT_S, Server
from tests.stores.swift import Swift


class User(NamedTuple):
    """One whom a gateway knows itself, as ``Swift`` has one."""

    auth: str
    user: str
    key: str


def sign(connection: swiftclient.Connection) -> None:
    """Give an account a key for temporary URLs."""
    connection.post_account({"X-Account-Meta-Temp-URL-Key": "a-key"})


def defaults() -> dict[str, object]:
    return {opt.dest: opt.default for opt in Store.OPTS}


def store(swift: Swift | User, **options: object) -> Store:
    """A store in a container of its own, of a user whom Swift knows itself."""
    values = {
        **defaults(),
        "swift_store_auth_version": "1",
        "swift_store_auth_address": swift.auth,
        "swift_store_user": swift.user,
        "swift_store_key": swift.key,
        "swift_store_container": f"images-{uuid.uuid4().hex[:8]}",
        "swift_store_create_container_on_put": True,
        "swift_store_timeout": 20,
    }
    return Store.configured("cloud", {**values, **options}, Threads())


def client(swift: Swift | User) -> swiftclient.Connection:
    return swiftclient.Connection(
        swift.auth, swift.user, swift.key, retries=0, timeout=20
    )


def client_of(
    swift: Swift, keystone: Keystone, user: str, project: str | None = None
) -> swiftclient.Connection:
    """A user of Keystone in the account of a project, by id; by default of their own."""
    account = project or keystone.project(keystone.home(user))
    return swiftclient.Connection(
        preauthurl=f"{swift.url}/v1/AUTH_{account}",
        preauthtoken=keystone.token(user),
        retries=0,
        timeout=20,
    )


def held(connection: swiftclient.Connection, driver: Store) -> list[str]:
    return below(connection, driver.properties()["container"])


def below(connection: swiftclient.Connection, prefix: str) -> list[str]:
    """Names of all objects in the containers whose names begin so."""
    containers = connection.get_account(prefix=prefix, full_listing=True)[1]
    return [
        entry["name"]
        for container in containers
        for entry in connection.get_container(container["name"], full_listing=True)[1]
    ]


class Containers(Server):
    """A container of a user whom Swift knows itself, images in segments of 4 MiB."""

    kind = "swift"

    def __init__(self, swift: Swift) -> None:
        self._swift = swift
        self._container = f"daemon-{uuid.uuid4().hex[:8]}"
        self.options = {
            "swift_store_auth_version": "1",
            "swift_store_auth_address": swift.auth,
            "swift_store_user": swift.user,
            "swift_store_key": swift.key,
            "swift_store_container": self._container,
            "swift_store_create_container_on_put": True,
            "swift_store_large_object_size": 4,
            "swift_store_large_object_chunk_size": 4,
            "swift_store_timeout": TIMEOUT_S,
        }

    def left(self, daemon: Daemon) -> list[str]:
        return below(client(self._swift), self._container)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        quota = "X-Container-Meta-Quota-Bytes"
        connection = client(self._swift)
        connection.put_container(self._container, {quota: "1048576"})
        try:
            yield
        finally:
            connection.post_container(self._container, {quota: ""})

    def frozen(self) -> contextlib.AbstractContextManager[None]:
        return self._swift.frozen()

    def restart(self) -> None:
        self._swift.kill()
        self._swift.start()

    def rotate(self) -> None:
        self._swift.rotate(secrets.token_hex())
        self.options["swift_store_key"] = self._swift.key
