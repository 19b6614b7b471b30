"""The commands in docs/configuration.md do what stands there, on a real Keystone."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imageservice.domain.allowance import MIB, NAMES
from tests.daemon import command
from tests.identity import ADMIN_PASSWORD
from tests.identity.keystone import Keystone
from tests.identity.limits import Limits
from tests.limits.conftest import Asking

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def documented() -> list[str]:
    section = PAGE.read_text().split("## Unified limits")[1].split("\n## ")[0]
    lines = [line.strip() for line in section.splitlines()]
    return [line for line in lines if line.startswith("openstack ")]


@pytest.fixture
def run(keystone: Keystone) -> Callable[[str], str]:
    def openstack(line: str) -> str:
        program, *words = shlex.split(line.replace("PROJECT", "owner"))
        done = subprocess.run(
            [command(program), *words],
            env={
                "PATH": os.environ["PATH"],
                "OS_CLIENT_CONFIG_FILE": "/nonexistent",
                "OS_AUTH_URL": keystone.url,
                "OS_USERNAME": "admin",
                "OS_PASSWORD": ADMIN_PASSWORD,
                "OS_USER_DOMAIN_ID": "default",
                "OS_SYSTEM_SCOPE": "all",
                "OS_IDENTITY_API_VERSION": "3",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, line + done.stderr
        return done.stdout.strip()

    return openstack


@pytest.mark.slow
def test_the_documented_commands_register_all_limits(
    keystone: Keystone,
    limits: Limits,
    asking: Asking,
    run: Callable[[str], str],
) -> None:
    limits.clear()

    printed = {line: run(line) for line in documented()}

    [endpoint] = [said for line, said in printed.items() if "endpoint list" in line]
    found = asking(endpoint_id=endpoint).of(keystone.project("partner"))
    assert (found.images, found.uploading) == (100, 10)
    assert (found.bytes, found.staged) == (102400 * MIB, 10240 * MIB)
    own = asking(endpoint_id=endpoint).of(keystone.project("owner"))
    assert own.bytes == 512000 * MIB
    assert {line.split()[-1] for line in documented() if "registered" in line} == set(
        NAMES
    )
