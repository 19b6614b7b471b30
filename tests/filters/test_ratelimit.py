"""Rate limits of running services: one count for all workers, which outlives them."""

import concurrent.futures
import itertools
import os
import signal
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests import people
from tests.conftest import StartDaemon
from tests.daemon import Daemon
from tests.filters import pipelines
from tests.filters.conftest import Serve
from tests.hammer import processes
from tests.hammer.calls import until
from tests.identity.keystone import Keystone

PROJECTS = {"owner": "p1", "stranger": "p2", "admin": "p3"}
ME = people.headers("owner", PROJECTS)
STRANGER = people.headers("stranger", PROJECTS)

RATE, BURST = 10, 20


def limits(folder: Path, by: str = "project", **options: object) -> pipelines.Sections:
    """The section of a limit whose file lies in the test's folder."""
    return {
        "filter:limit": {
            "paste.filter_factory": "imageservice.pipeline:ratelimit_factory",
            "by": by,
            "rate": RATE,
            "burst": BURST,
            "folder": folder / "run",
            **options,
        }
    }


def four_workers(start: StartDaemon, folder: Path, **options: object) -> Daemon:
    paste = pipelines.write(
        folder / "limited-paste.ini",
        before={"limit": "rootapp"},
        sections=limits(folder, **options),
    )
    return start({"DEFAULT": {"workers": 4}, "paste_deploy": {"config_file": paste}})


def all_four(daemon: Daemon) -> bool:
    return "4 workers serve" in daemon.log.read_text(errors="replace")


def ask(url: str, count: int) -> tuple[Counter[int], float]:
    """Ask so often at once, each on a connection of its own; count the statuses."""

    def one(_: int) -> int:
        return httpx.get(f"{url}/v2/images/none", headers=ME, timeout=60).status_code

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        statuses = Counter(pool.map(one, range(count)))
    return statuses, time.monotonic() - began


def test_four_workers_let_exactly_the_burst_through(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    # So slow that nothing is given back while the machine is busy with something else.
    daemon = four_workers(start_daemon, tmp_path, rate=0.001)
    until(lambda: all_four(daemon), 30, "not all workers serve")

    statuses, _ = ask(daemon.url, 100)

    assert statuses == {404: BURST, 429: 80}


def test_what_comes_back_is_what_time_gives(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    daemon = four_workers(start_daemon, tmp_path)
    until(lambda: all_four(daemon), 30, "not all workers serve")

    statuses, seconds = ask(daemon.url, 100)

    assert statuses[404] + statuses[429] == 100
    assert BURST <= statuses[404] <= BURST + seconds * RATE + 1


@pytest.mark.slow
def test_buckets_outlive_workers_and_sighup(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    daemon = four_workers(start_daemon, tmp_path, rate=0.001)
    until(lambda: all_four(daemon), 30, "not all workers serve")
    ask(daemon.url, BURST)
    first = set(processes.children(daemon.pid))

    for pid in first:
        processes.kill(pid)
    until(lambda: len(workers(daemon) - first) == 4, 30, "they were not replaced")
    after_kill, _ = ask(daemon.url, 8)
    second = workers(daemon)
    os.kill(daemon.pid, signal.SIGHUP)
    until(
        lambda: "have taken over" in daemon.log.read_text(errors="replace"),
        60,
        "no new workers took over",
    )
    until(lambda: not workers(daemon) & second, 60, "old workers stay")
    after_hup, _ = ask(daemon.url, 8)

    assert after_kill == {429: 8}
    assert after_hup == {429: 8}


def workers(daemon: Daemon) -> set[int]:
    return set(processes.children(daemon.pid)) if daemon.answers() else set()


def test_two_daemons_of_one_machine_count_apart(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    one = four_workers(start_daemon, tmp_path, rate=0.001)
    other = four_workers(start_daemon, tmp_path, rate=0.001)

    ask(one.url, BURST)

    assert ask(one.url, 1)[0] == {429: 1}
    assert ask(other.url, 1)[0] == {404: 1}


def test_the_refusal_says_when_to_come_back(serve: Serve, tmp_path: Path) -> None:
    sections = limits(tmp_path, rate=0.7, burst=1)
    url = serve({"limit": "rootapp"}, paste=sections)
    headers = {**ME, "Accept": "application/json"}
    assert httpx.get(f"{url}/v2/images", headers=headers).status_code == 200

    refused = httpx.get(f"{url}/v2/images", headers=headers)
    seconds = refused.headers["Retry-After"]
    until(Elapsed(int(seconds)), 10, "time stands still")
    later = httpx.get(f"{url}/v2/images", headers=headers)

    assert refused.status_code == 429
    assert refused.json() == {
        "code": "429 Too Many Requests",
        "title": "Too Many Requests",
        "message": f"Too many requests. Send the next one in {seconds} s.",
    }
    assert seconds in ("1", "2")
    assert refused.headers["x-openstack-request-id"].startswith("req-")
    assert later.status_code == 200


class Elapsed:
    """True when so many seconds have passed."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def __call__(self) -> bool:
        return time.monotonic() >= self._end


def test_every_project_has_its_own_bucket(serve: Serve, tmp_path: Path) -> None:
    sections = limits(tmp_path, rate=0.001, burst=1, exempt="p3")
    url = serve({"limit": "rootapp"}, paste=sections)
    admin = people.headers("admin", PROJECTS)

    mine = [httpx.get(f"{url}/v2/images", headers=ME) for _ in range(2)]
    theirs = httpx.get(f"{url}/v2/images", headers=STRANGER)
    exempt = [httpx.get(f"{url}/v2/images", headers=admin) for _ in range(3)]

    assert [answer.status_code for answer in mine] == [200, 429]
    assert theirs.status_code == 200
    assert {answer.status_code for answer in exempt} == {200}


def test_methods_count_only_where_they_are_named(serve: Serve, tmp_path: Path) -> None:
    sections = limits(tmp_path, rate=0.001, burst=1, methods="POST, put")
    url = serve({"limit": "rootapp"}, paste=sections)

    writes = [httpx.post(f"{url}/v2/images", json={}, headers=ME) for _ in range(2)]
    reads = [httpx.get(f"{url}/v2/images", headers=ME) for _ in range(3)]

    assert [answer.status_code for answer in writes] == [201, 429]
    assert {answer.status_code for answer in reads} == {200}


def test_a_flood_of_bad_tokens_stops_before_tokens_are_looked_at(
    serve: Serve, tmp_path: Path
) -> None:
    sections = limits(tmp_path, by="address", rate=0.001, burst=2)
    url = serve(
        {"limit": "http_proxy_to_wsgi"},
        without=(),
        paste=sections,
        options={
            "keystone_authtoken": {
                "auth_type": "password",
                "auth_url": "http://127.0.0.1:9/v3",
                "username": "x",
                "password": "x",
                "http_connect_timeout": 1,
                "http_request_max_retries": 0,
            }
        },
    )

    answers = [
        httpx.get(f"{url}/v2/images", headers={"X-Auth-Token": f"bad-{n}"}, timeout=60)
        for n in range(4)
    ]

    # Refused by authtoken, which asked a Keystone that is away; then by the limit.
    statuses = [answer.status_code for answer in answers]
    assert 429 not in statuses[:2]
    assert statuses[2:] == [429, 429]


def test_keystone_hears_of_no_more_tokens_than_the_limit_lets_through(
    keystone: Keystone, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    paste = pipelines.write(
        tmp_path / "limited-paste.ini",
        before={"limit": "http_proxy_to_wsgi"},
        without=(),
        sections=limits(tmp_path, by="address", rate=0.001, burst=3),
    )
    daemon = start_daemon(keystone.options({"paste_deploy": {"config_file": paste}}))
    token = {"X-Auth-Token": keystone.token("owner")}
    good = httpx.get(f"{daemon.url}/v2/images", headers=token).status_code
    asked = keystone.requests().count(CHECKED)

    bad = [
        httpx.get(f"{daemon.url}/v2/images", headers={"X-Auth-Token": f"bad-{n}"})
        for n in range(30)
    ]

    statuses = Counter(answer.status_code for answer in bad)
    assert good == 200
    assert statuses == {401: 2, 429: 28}
    assert keystone.requests().count(CHECKED) - asked == 2


CHECKED = "GET /v3/auth/tokens"
"""How Keystone notes that somebody has a token checked."""


@pytest.mark.parametrize("believed", [True, False])
def test_forged_addresses_do_not_help(
    serve: Serve, tmp_path: Path, believed: bool
) -> None:
    sections = limits(tmp_path, by="address", rate=0.001, burst=1)
    url = serve(
        {"limit": "http_proxy_to_wsgi"},
        paste=sections,
        options={"oslo_middleware": {"enable_proxy_headers_parsing": believed}},
    )
    numbers = itertools.count(1)

    def from_(client: str) -> int:
        forged = f"10.0.0.{next(numbers)}"
        headers = {
            **ME,
            "X-Forwarded-For": f"{forged}, {client}",
            "Forwarded": f"for={forged}",
        }
        return httpx.get(f"{url}/v2/images", headers=headers).status_code

    assert [from_("192.0.2.1"), from_("192.0.2.1")] == [200, 429]
    # Only with a proxy that is believed is this another client.
    assert from_("192.0.2.2") == (200 if believed else 429)
