"""Callers, images and enforcers for the tests of the policy package."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from imageservice.context import Context
from imageservice.domain.image import Image
from imageservice.policy.enforcer import Enforcer
from tests.db import factories

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5)


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def an_image() -> Callable[..., Image]:
    def make(**values: Any) -> Image:
        plain = {"id": "i1", "status": "active", "owner": "owners", "created_at": NOW}
        return factories.an_image(**(plain | values))

    return make


@pytest.fixture
def a_caller() -> Callable[..., Context]:
    def make(project_id: str | None = "owners", *roles: str, **values: Any) -> Context:
        return Context(
            project_id=project_id,
            roles=roles,
            is_admin="admin" in roles,
            overwrite=False,
            **values,
        )

    return make


@pytest.fixture
def conf_of(tmp_path: Path) -> Callable[..., cfg.ConfigOpts]:
    """Make a configuration whose file lies in tmp_path."""

    def make(text: str = "") -> cfg.ConfigOpts:
        (tmp_path / "api.conf").write_text(text)
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[str(tmp_path / "api.conf")])
        return conf

    return make


@pytest.fixture
def an_enforcer(
    tmp_path: Path, conf_of: Callable[..., cfg.ConfigOpts], clock: Clock
) -> Callable[..., Enforcer]:
    """Make an enforcer, with the text of a policy file if one is given."""

    def make(policy: str | None = None) -> Enforcer:
        if policy is not None:
            (tmp_path / "policy.yaml").write_text(policy)
        return Enforcer(conf_of(), clock)

    return make
