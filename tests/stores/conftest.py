"""The storage servers of a test run, each started when first asked for."""

import importlib.util
import os
from collections.abc import Iterator

import pytest

from tests.stores.ceph import Ceph

# Without the library of a driver (extras of setup.cfg) its tests cannot even be read.
# In CI that is an error.
collect_ignore_glob = (
    [] if importlib.util.find_spec("boto3") or os.environ.get("CI") else ["test_s3*.py"]
)


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """A Ceph with S3 gateway. Whoever breaks it mends it."""
    with Ceph(tmp_path_factory.mktemp("ceph"), gateway=True) as running:
        yield running
