"""The swift store passes the suite that every driver passes, on a real Swift."""

import contextlib
from collections.abc import Iterator

import pytest

from imageservice.stores.swift import Swift as Store
from imageservice.stores.testing import DriverSuite
from tests.identity.keystone import Keystone
from tests.stores import swift as servers
from tests.stores.swift import Swift
from tests.stores.swift_stores import client, client_of, held, sign, store

pytestmark = pytest.mark.servers


class TestOneSegment(DriverSuite):
    """As images below ``swift_store_large_object_size`` are stored."""

    test_more_than_five_gibibytes = None

    @pytest.fixture
    def driver(self, swift: Swift) -> Store:
        return store(swift)

    @pytest.fixture(autouse=True)
    def _connected(self, swift: Swift) -> None:
        self._connection = client(swift)
        sign(self._connection)

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


@pytest.fixture(scope="module")
def of_keystone(
    keystone_swift: Swift, keystone: Keystone, tmp_path_factory: pytest.TempPathFactory
) -> Store:
    path = tmp_path_factory.mktemp("references") / "references.conf"
    path.write_text(
        f"[first]\nauth_address = {keystone.url}\n"
        f"user = {servers.KEYSTONE_PROJECT}:{servers.KEYSTONE_USER}\n"
        f"key = {keystone.password(servers.KEYSTONE_USER)}\n"
    )
    return store(
        keystone_swift,
        swift_store_auth_version="3",
        swift_store_config_file=str(path),
        default_swift_reference="first",
        swift_store_multiple_containers_seed=2,
    )


class TestKeystone(TestOneSegment):
    """A user of Keystone in a references file, and several containers."""

    @pytest.fixture
    def driver(self, of_keystone: Store) -> Store:
        return of_keystone

    @pytest.fixture(autouse=True)
    def _connected(self, keystone_swift: Swift, keystone: Keystone) -> Iterator[None]:
        with contextlib.closing(
            client_of(keystone_swift, keystone, servers.KEYSTONE_USER)
        ) as self._connection:
            sign(self._connection)
            yield
