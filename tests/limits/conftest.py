"""What asks the real Keystone for limits, in the process of the test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imageservice import config
from imageservice.limits import allowances
from imageservice.limits.allowances import Allowances
from tests.daemon import configure
from tests.identity.limits import Limits

Asking = Callable[..., Allowances]


@pytest.fixture
def asking(limits: Limits, tmp_path: Path) -> Asking:
    """Make it from the options of ``limits``, and others of [oslo_limit]."""

    def make(cache: float = 0, **oslo_limit: object) -> Allowances:
        options = limits.options(**oslo_limit)
        options["DEFAULT"]["keystone_limits_cache_time"] = cache
        return allowances.from_config(config.load([configure(tmp_path, options)]))

    return make
