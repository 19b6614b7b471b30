"""Traces: stored for who signs, for nobody else, and never in the way of a request."""

import json
import os
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis
from osprofiler import _utils as signing

from tests import databases, people
from tests.conftest import StartDaemon
from tests.filters import pipelines, transfers
from tests.filters.conftest import Serve

# A daemon, or more, for nearly every test, and waits that are meant.
pytestmark = pytest.mark.slow

REDIS = os.environ.get("IMAGESERVICE_TEST_REDIS", "redis://127.0.0.1:6379")
KEY = "a key of our own"
ME = people.headers("owner", {"owner": "p1"})
OSPROFILER = {"osprofiler": "context"}


@pytest.fixture
def storage() -> Iterator[Any]:
    client = redis.Redis.from_url(REDIS)
    try:
        client.ping()
    except redis.RedisError as error:
        databases.missing(f"Redis does not answer: {error}")
    with client:
        yield client


@pytest.fixture
def base() -> str:
    return str(uuid.uuid4())


def profiler(**options: object) -> dict[str, dict[str, object]]:
    usual = {"enabled": True, "hmac_keys": f"other,{KEY}", "connection_string": REDIS}
    return {"profiler": {**usual, **options}}


def signed(base: str, key: str) -> dict[str, str]:
    """What ``openstack --os-profile KEY`` sends."""
    info = {"base_id": base, "parent_id": base}
    packed, signature = signing.signed_pack(info, key)
    return {"X-Trace-Info": packed.decode(), "X-Trace-HMAC": str(signature)}


def trace(storage: Any, base: str) -> list[dict[str, Any]]:
    """The points of a trace in the order of time; taken out of the storage."""
    key = f"osprofiler_opt:{base}"
    points = [json.loads(raw) for raw in storage.lrange(key, 0, -1)]
    storage.delete(key)
    return points[::-1]


def test_a_signed_request_leaves_a_trace(serve: Serve, storage: Any, base: str) -> None:
    url = serve(OSPROFILER, options=profiler())

    answer = httpx.get(f"{url}/v2/images?limit=3", headers={**ME, **signed(base, KEY)})

    assert answer.status_code == 200
    points = trace(storage, base)
    assert [point["name"] for point in points] == ["wsgi-start", "wsgi-stop"]
    assert points[0]["info"]["request"] == {
        "method": "GET", "path": "/v2/images", "query": "limit=3", "scheme": "http",
    }  # fmt: skip
    assert points[0]["project"] == "imageservice"


def test_statements_are_in_it_if_wanted(serve: Serve, storage: Any, base: str) -> None:
    url = serve(OSPROFILER, options=profiler(trace_sqlalchemy=True))

    httpx.get(f"{url}/v2/images", headers={**ME, **signed(base, KEY)})

    points = trace(storage, base)
    names = [point["name"] for point in points]
    assert names == ["wsgi-start", "db-start", "db-stop", "wsgi-stop"]
    assert "SELECT" in points[1]["info"]["db"]["statement"]


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda sent: {**sent, "X-Trace-HMAC": "0" * 40}, id="wrong"),
        pytest.param(lambda sent: {"X-Trace-Info": sent["X-Trace-Info"]}, id="none"),
        pytest.param(
            lambda sent: {**sent, "X-Trace-HMAC": b"\xe9" * 40}, id="not-ascii"
        ),
        pytest.param(
            lambda sent: {**sent, "X-Trace-Info": "rubbish"}, id="of-something-else"
        ),
    ],
)
def test_forged_signatures_leave_none(
    serve: Serve, storage: Any, base: str, forge: Any
) -> None:
    url = serve(OSPROFILER, options=profiler())

    answer = httpx.get(f"{url}/v2/images", headers={**ME, **forge(signed(base, KEY))})

    assert answer.status_code == 200
    assert trace(storage, base) == []


def test_nothing_is_traced_unless_enabled(
    serve: Serve, storage: Any, base: str
) -> None:
    url = serve(OSPROFILER, options=profiler(enabled=False, hmac_keys="SECRET_KEY"))

    answer = httpx.get(f"{url}/v2/images", headers={**ME, **signed(base, "SECRET_KEY")})

    assert answer.status_code == 200
    assert trace(storage, base) == []


def test_data_streams_through(serve: Serve, storage: Any, base: str) -> None:
    url = serve(OSPROFILER, options=profiler())
    headers = {**ME, **signed(base, KEY)}
    assert transfers.round_trip(url, headers)
    assert len(trace(storage, base)) == 6


def test_a_storage_that_is_away_fails_no_request(serve: Serve, base: str) -> None:
    url = serve(OSPROFILER, options=profiler(connection_string="redis://127.0.0.1:9"))

    answer = httpx.get(f"{url}/v2/images", headers={**ME, **signed(base, KEY)})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hmac_keys": "SECRET_KEY"}, "hmac_keys: 'SECRET_KEY' is what everybody"),
        ({"hmac_keys": "good, SECRET_KEY"}, "hmac_keys"),
        ({"hmac_keys": ","}, "hmac_keys"),
        ({"connection_string": "floppy://"}, "connection_string: there is no driver"),
        ({"enabled": "perhaps"}, "perhaps"),
    ],
)
def test_what_would_be_unsafe_or_cannot_work_ends_the_start(
    start_daemon: StartDaemon, tmp_path: Any, options: dict[str, str], said: str
) -> None:
    paste = pipelines.write(tmp_path / "p-paste.ini", before=OSPROFILER)

    with pytest.raises(AssertionError, match=said):
        start_daemon({"paste_deploy": {"config_file": paste}, **profiler(**options)})
