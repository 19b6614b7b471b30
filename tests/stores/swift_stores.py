"""Swift stores for tests, and what lies in them."""

import uuid

import swiftclient

from imageservice.stores.swift import Swift as Store
from imageservice.stores.testing import Threads
from tests.stores.swift import Swift


def defaults() -> dict[str, object]:
    return {opt.dest: opt.default for opt in Store.OPTS}


def store(swift: Swift, **options: object) -> Store:
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


def client(swift: Swift) -> swiftclient.Connection:
    return swiftclient.Connection(
        swift.auth, swift.user, swift.key, retries=0, timeout=20
    )


def held(connection: swiftclient.Connection, driver: Store) -> list[str]:
    prefix = driver.properties()["container"]
    containers = connection.get_account(prefix=prefix, full_listing=True)[1]
    return [
        entry["name"]
        for container in containers
        for entry in connection.get_container(container["name"], full_listing=True)[1]
    ]
