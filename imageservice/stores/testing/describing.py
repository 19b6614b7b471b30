"""What a driver says about itself."""

import json
from collections.abc import Callable

import pytest

from imageservice import errors
from imageservice.stores.driver import (
    Capability,
    Driver,
)
from imageservice.stores.testing.case import Case, Put
from imageservice.stores.testing.materials import Stream


class Describing(Case):
    def test_it_describes_itself(self, driver: Driver) -> None:
        assert driver.kind
        assert driver.name
        assert Capability.READ in driver.capabilities
        json.dumps(driver.properties())

    def test_a_healthy_store_passes_its_check(self, driver: Driver) -> None:
        driver.check()

    def test_what_is_not_declared_raises_unsupported(
        self, driver: Driver, put: Put
    ) -> None:
        calls: dict[Capability, Callable[[str], object]] = {
            Capability.WRITE: lambda _: driver.write("key", Stream(b"data"), 4),
            Capability.READ: driver.read,
            Capability.RANGE: lambda url: driver.read(url, 1, 2),
            Capability.SIZE: driver.size,
            Capability.DELETE: driver.delete,
            Capability.LIST: lambda _: list(driver.listing()),
            Capability.REDIRECT: lambda url: driver.redirect(url, 60),
        }
        url = put("key", b"data").url
        for capability, call in calls.items():
            if capability not in driver.capabilities:
                with pytest.raises(errors.Unsupported):
                    call(url)
