"""The storage servers of a test run, each started when first asked for."""

from collections.abc import Iterator

import pytest

from tests.stores.ceph import Ceph


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """A Ceph with S3 gateway. Whoever breaks it mends it."""
    with Ceph(tmp_path_factory.mktemp("ceph"), gateway=True) as running:
        yield running
