"""Where tokens are remembered: in memcached, if it is there."""

import importlib.util
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from imageservice import config, errors
from imageservice.identity import authtoken
from tests.conftest import StartDaemon
from tests.daemon import Daemon, Options, configure, free_port
from tests.databases import missing
from tests.identity.keystone import Keystone
from tests.keystone import memcached
from tests.keystone.test_tokens import checks, listing

# A daemon, or more, for nearly every test, and waits that are meant.
pytestmark = pytest.mark.slow

#: More than there are places in the pool of connections to memcached.
AT_ONCE = 12

#: Seconds: memcached's time for an answer is 1, and a place in its pool is waited for 1;
#: the rest is for a machine that is busy.
BOUND_S = 15


@pytest.fixture
def address() -> Iterator[str]:
    with memcached.real() as address:
        yield address


def remembering(keystone: Keystone, address: str, **more: object) -> Options:
    if importlib.util.find_spec("memcache") is None:
        missing("python-memcached is not installed (it is in the extra test)")
    return keystone.options(
        {
            "DEFAULT": {"workers": 2},
            "keystone_authtoken": {"memcached_servers": address, **more},
        }
    )


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="plain"),
        pytest.param(
            {"memcache_security_strategy": "ENCRYPT", "memcache_secret_key": "key"},
            id="encrypted",
        ),
    ],
)
def test_a_token_is_looked_up_once_for_all_workers_and_daemons(
    keystone: Keystone, start_daemon: StartDaemon, address: str, more: dict[str, object]
) -> None:
    daemons = [start_daemon(remembering(keystone, address, **more)) for _ in range(2)]
    token = keystone.new_token("owner")
    before = checks(keystone)

    # A connection each, so both workers of a daemon are asked.
    statuses = [listing(daemon, token).status_code for daemon in daemons * 8]

    assert statuses == [200] * 16
    assert checks(keystone) == before + 1


def test_without_memcached_tokens_are_looked_up_and_nothing_else_changes(
    keystone: Keystone, start_daemon: StartDaemon
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    daemon = start_daemon(remembering(keystone, nowhere))

    assert_goes_on(daemon, keystone)


def test_a_memcached_that_goes_away_is_not_missed(
    keystone: Keystone, start_daemon: StartDaemon
) -> None:
    with memcached.real() as address:
        daemon = start_daemon(remembering(keystone, address))
        assert listing(daemon, keystone.token("owner")).status_code == 200

    assert_goes_on(daemon, keystone)


def test_a_memcached_that_says_nothing_holds_nobody_up(
    keystone: Keystone, start_daemon: StartDaemon
) -> None:
    with memcached.silent() as address:
        daemon = start_daemon(remembering(keystone, address))

        assert_goes_on(daemon, keystone)


def assert_goes_on(daemon: Daemon, keystone: Keystone) -> None:
    """More requests at once than there are places in the pool are answered in time."""
    token = keystone.token("owner")

    def timed(_: int) -> tuple[int, bool]:
        began = time.monotonic()
        reply = httpx.get(
            f"{daemon.url}/v2/images", headers={"X-Auth-Token": token}, timeout=60
        )
        return reply.status_code, time.monotonic() - began < BOUND_S

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(timed, range(AT_ONCE))) == [(200, True)] * AT_ONCE
    assert listing(daemon, "nonsense").status_code == 401


def test_without_the_client_library_the_start_is_refused(
    keystone: Keystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = remembering(keystone, "127.0.0.1:11211")
    monkeypatch.setitem(sys.modules, "memcache", None)
    conf = config.load([configure(tmp_path, options)])
    settings = {"oslo_config_config": conf}
    authtoken.AuthToken(None, dict(settings))

    with pytest.raises(errors.Misconfigured, match=r"imageservice\[memcached\]"):
        authtoken.check(conf, {})
