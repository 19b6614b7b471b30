"""The swift store passes the suite that every driver passes, on a real Swift."""

import uuid
from collections.abc import Iterator

import pytest
import swiftclient

from imageservice.stores.swift import Swift as Store
from imageservice.stores.testing import DriverSuite, Threads
from tests.identity.keystone import Keystone
from tests.stores import swift as servers
from tests.stores.swift import Swift

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def swift(tmp_path_factory, keystone: Keystone) -> Iterator[Swift]:
    with Swift(tmp_path_factory.mktemp("swift"), keystone, node_timeout_s=2) as swift:
        yield swift


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
    return swiftclient.Connection(swift.auth, swift.user, swift.key, retries=0)


def held(connection: swiftclient.Connection, driver: Store) -> list[str]:
    prefix = driver.properties()["container"]
    containers = connection.get_account(prefix=prefix, full_listing=True)[1]
    return [
        entry["name"]
        for container in containers
        for entry in connection.get_container(container["name"], full_listing=True)[1]
    ]


class TestOneSegment(DriverSuite):
    """As images below ``swift_store_large_object_size`` are stored."""

    test_more_than_five_gibibytes = None

    @pytest.fixture
    def driver(self, swift: Swift) -> Store:
        return store(swift)

    @pytest.fixture(autouse=True)
    def _connected(self, swift: Swift) -> None:
        self._connection = client(swift)

    def left(self, driver: Store) -> list[str]:
        return held(self._connection, driver)


class TestManySegments(TestOneSegment):
    """Segments of one block each."""

    @pytest.fixture
    def driver(self, swift: Swift) -> Store:
        sizes = {
            "swift_store_large_object_size": 1,
            "swift_store_large_object_chunk_size": 1,
        }
        return store(swift, **sizes)


class TestKeystone(TestOneSegment):
    """A user of Keystone in a references file, and several containers."""

    @pytest.fixture
    def driver(self, swift: Swift, keystone: Keystone, tmp_path) -> Store:
        path = tmp_path / "references.conf"
        path.write_text(
            f"[first]\nauth_address = {keystone.url}\n"
            f"user = {servers.KEYSTONE_PROJECT}:{servers.KEYSTONE_USER}\n"
            f"key = {keystone.password(servers.KEYSTONE_USER)}\n"
        )
        return store(
            swift,
            swift_store_auth_version="3",
            swift_store_config_file=str(path),
            default_swift_reference="first",
            swift_store_multiple_containers_seed=2,
        )

    @pytest.fixture(autouse=True)
    def _connected(self, swift: Swift, keystone: Keystone) -> None:
        from keystoneauth1 import session

        auth = keystone.auth(servers.KEYSTONE_USER)
        self._connection = swiftclient.Connection(session=session.Session(auth=auth))
