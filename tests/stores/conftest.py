"""The storage servers of a test run, each started when first asked for."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.identity.keystone import Keystone
from tests.stores.backends import REAL, Backend, Folder, Memory
from tests.stores.ceph import Ceph
from tests.stores.certificate import self_signed
from tests.stores.swift import Swift

# Without the library of a driver (extras of setup.cfg) its tests cannot even be read.
# In CI that is an error.
LIBRARIES = {"boto3": "test_s3*.py", "swiftclient": "test_swift*.py"}
collect_ignore_glob = [
    tests
    for library, tests in LIBRARIES.items()
    if not importlib.util.find_spec(library) and not os.environ.get("CI")
]


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """A Ceph with S3 gateway. Whoever breaks it mends it."""
    with Ceph(tmp_path_factory.mktemp("ceph"), gateway=True) as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("certificate") / "gateway.pem")


@pytest.fixture(scope="session")
def secure(
    certificate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ceph]:
    """A Ceph whose S3 gateway speaks https with that certificate, too."""
    folder = tmp_path_factory.mktemp("secure")
    with Ceph(folder, gateway=True, certificate=certificate) as running:
        yield running


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """A Swift with users of its own. Whoever breaks it mends it."""
    with Swift(tmp_path_factory.mktemp("swift"), node_timeout_s=2) as running:
        yield running


@pytest.fixture(scope="session")
def keystone_swift(
    tmp_path_factory: pytest.TempPathFactory, keystone: Keystone
) -> Iterator[Swift]:
    """A Swift whose users are those of Keystone, too."""
    folder = tmp_path_factory.mktemp("swift")
    with Swift(folder, keystone, node_timeout_s=2) as running:
        yield running


@pytest.fixture(scope="module", params=["file", "memory", *REAL])
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Backend:
    """A store for a daemon, of each kind; ``parametrize`` with ``indirect`` chooses."""
    # Only what is asked for is imported: a library may be missing.
    match request.param:
        case "s3":
            from tests.stores.buckets import Buckets

            return Buckets(request.getfixturevalue("ceph"))
        case "swift":
            from tests.stores.swift_stores import Containers

            return Containers(request.getfixturevalue("swift"))
        case "rbd":
            from tests.stores.rbds import Blocks

            return Blocks(request.getfixturevalue("ceph"))
        case "file":
            return Folder(tmp_path_factory.mktemp("images"))
        case _:
            return Memory()
