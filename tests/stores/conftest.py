"""The storage servers of a test run, each started when first asked for."""

import importlib.util
import os
from collections.abc import Iterator

import pytest

from tests.stores.ceph import Ceph

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
