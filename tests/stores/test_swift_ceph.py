"""The swift store on Ceph's gateway, by http and https: the second implementation."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from imageservice import errors
from imageservice.stores.swift import Swift as Store
from imageservice.stores.testing import DriverSuite, Stream
from tests.stores.ceph import Ceph
from tests.stores.certificate import self_signed
from tests.stores.swift_stores import User, client, held, sign, store

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("certificate") / "gateway.pem")


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, certificate: Path
) -> Iterator[Ceph]:
    folder = tmp_path_factory.mktemp("secure")
    with Ceph(folder, gateway=True, certificate=certificate) as running:
        yield running


@pytest.fixture(scope="module")
def user(gateway: Ceph) -> User:
    """A user of the gateway's Swift interface."""
    name, key = "images:store", secrets.token_hex()
    gateway.admin("user", "create", "--uid=images", "--display-name=images")
    of_user = ("--uid=images", f"--subuser={name}")
    gateway.admin("subuser", "create", *of_user, "--access=full")
    kind = ("--key-type=swift", f"--secret-key={key}")
    gateway.admin("key", "create", *of_user, *kind)
    user = User(f"{gateway.url}/auth/v1.0", name, key)
    sign(client(user))
    return user


class TestHttp(DriverSuite):
    test_more_than_five_gibibytes = None

    @pytest.fixture
    def driver(self, user: User) -> Store:
        return made(user)

    @pytest.fixture(autouse=True)
    def _connected(self, user: User) -> None:
        self._connection = client(user)

    def left(self, driver: Store) -> list[str]:
        return held(self._connection, driver)


def made(user: User, **options: object) -> Store:
    return store(
        user,
        swift_store_temp_url_digest="sha1",
        swift_store_large_object_size=1,
        swift_store_large_object_chunk_size=1,
        **options,
    )


class TestHttps(TestHttp):
    """Certificates of an authority of one's own."""

    @pytest.fixture
    def driver(self, user: User, gateway: Ceph, certificate: Path) -> Store:
        secure = user._replace(auth=f"{gateway.secure_url}/auth/v1.0")
        return made(
            secure,
            swift_store_cacert=str(certificate),
            swift_store_redirect_endpoint=f"{gateway.url}/swift/v1",
        )


def test_an_unknown_certificate_is_refused(user: User, gateway: Ceph) -> None:
    driver = made(user._replace(auth=f"{gateway.secure_url}/auth/v1.0"))

    with pytest.raises(errors.StoreUnavailable):
        driver.write("key", Stream(b"data"), 4)
