"""The S3 store on a small service that fails as it is told."""

from collections.abc import Iterator

import pytest

from imageservice.stores.s3 import S3
from tests.unit.stores.s3.service import Service, running, store


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as service:
        yield service


@pytest.fixture
def driver(service: Service) -> S3:
    return store(service)
