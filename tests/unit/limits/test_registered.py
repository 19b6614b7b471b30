"""Limits are read through oslo.limit, and nothing that Keystone does is our 500."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from keystoneauth1 import loading

from imageservice import config, errors
from imageservice.domain.allowance import MIB, Allowance
from imageservice.limits import allowances
from imageservice.limits.allowances import Allowances
from tests import sick_keystone
from tests.sick_keystone import ENDPOINT, SickKeystone

limit = pytest.importorskip("oslo_limit.limit")

ConfOf = Callable[..., Any]


@pytest.fixture
def keystone() -> Iterator[SickKeystone]:
    with sick_keystone.running() as running:
        yield running


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Let the library forget the account: in a process there is one configuration."""
    yield
    known = limit.CONF
    known.clear()
    account = loading.get_auth_plugin_conf_options("password")
    for section in ("oslo_limit", "keystone_authtoken"):
        if section in known:
            known.unregister_opts(account, group=section)


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What a Keystone that hangs waits for: the end of the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def asking(tmp_path: Path) -> Callable[..., Allowances]:
    """Make what asks a Keystone; ``options`` are of [oslo_limit], None leaves one out."""

    def make(keystone: SickKeystone, cache: float = 0, **options: object) -> Allowances:
        path = tmp_path / "imageservice-api.conf"
        section = {**keystone.options(), **options}
        path.write_text(
            "[DEFAULT]\nuse_keystone_limits = true\n"
            f"keystone_limits_cache_time = {cache}\n[oslo_limit]\n"
            + "".join(f"{k} = {v}\n" for k, v in section.items() if v is not None)
        )
        return allowances.from_config(config.load([str(path)]))

    return make


def test_limits_come_in_the_units_of_the_service(keystone, asking):
    found = asking(keystone).of("a project")

    assert found == Allowance(images=20, bytes=100 * MIB, uploading=5, staged=10 * MIB)


def test_a_limit_of_the_project_counts_more_than_the_registered_one(keystone, asking):
    keystone.projects["mine"] = {"image_count_total": 3, "image_size_total": -1}
    unified = asking(keystone)

    assert unified.of("mine") == Allowance(3, None, 5, 10 * MIB)
    assert unified.of("theirs") == Allowance(20, 100 * MIB, 5, 10 * MIB)


def test_what_is_registered_nowhere_is_nothing_and_the_log_says_so_once(
    keystone, asking, caplog
):
    del keystone.registered["image_count_total"]
    unified = asking(keystone)

    found = [unified.of(f"project {number}").images for number in range(5)]

    assert found == [0] * 5
    said = [r.getMessage() for r in caplog.records if "registered" in r.getMessage()]
    assert len(said) == 1
    assert "image_count_total (-1 for no limit)" in said[0]


def test_two_requests_are_enough_for_a_project(keystone, asking):
    unified = asking(keystone)
    unified.of("a project")
    before = sum(keystone.asked.values())

    unified.of("another project")

    assert sum(keystone.asked.values()) - before == 2


def test_limits_are_asked_for_again_when_they_are_too_old(keystone, asking):
    unified = asking(keystone, cache=0)
    unified.of("a project")
    keystone.registered["image_count_total"] = 21

    assert unified.of("a project").images == 21


def test_limits_that_are_fresh_serve_again(keystone, asking):
    unified = asking(keystone, cache=3600)
    unified.of("a project")
    keystone.registered["image_count_total"] = 21

    assert unified.of("a project").images == 20
    assert keystone.asked["/v3/limits"] == 1


REFUSED = {"error": {"code": 403, "message": "You are not authorized", "title": "F"}}


@pytest.mark.parametrize(
    "path",
    [
        "/v3/auth/tokens",
        "/v3/limits/model",
        f"/v3/endpoints/{ENDPOINT}",
        "/v3/registered_limits",
        "/v3/limits",
    ],
)
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param((403, REFUSED), id="403"),
        pytest.param((401, REFUSED), id="401"),
        pytest.param((404, b"not here"), id="404"),
        pytest.param((500, b"<html>oops</html>"), id="500"),
        pytest.param((503, b""), id="503"),
        pytest.param((200, b"<html>hello</html>"), id="html"),
        pytest.param((200, b"\xff\x00\xfe"), id="noise"),
        pytest.param((200, b""), id="nothing"),
        pytest.param((200, []), id="array"),
        pytest.param((200, {}), id="empty"),
        pytest.param((200, {"limits": 7, "registered_limits": "x"}), id="types"),
        pytest.param(
            (
                200,
                {
                    "limits": [{"resource_name": "a", "resource_limit": "many"}],
                    "registered_limits": [
                        {"resource_name": "a", "default_limit": None}
                    ],
                    "model": {"name": "strict_two_level"},
                    "endpoint": None,
                    "token": None,
                },
            ),
            id="values",
        ),
    ],
)
def test_no_answer_of_keystone_is_taken_for_a_limit(
    keystone, asking, caplog, path, reply
):
    unified = asking(keystone)
    keystone.ill[path] = lambda: reply

    with pytest.raises(errors.LimitsUnknown):
        unified.of("a project")

    assert any("limits" in record.getMessage() for record in caplog.records)

    keystone.ill.clear()
    assert unified.of("a project").images == 20


def test_a_refused_account_is_told_how_to_be_let_in(keystone, asking, caplog):
    keystone.ill[f"/v3/endpoints/{ENDPOINT}"] = lambda: (403, REFUSED)

    with pytest.raises(errors.LimitsUnknown):
        asking(keystone).of("a project")

    assert "--system all reader" in caplog.text


def test_another_model_than_flat_is_named(keystone, asking, caplog):
    model = {"model": {"name": "strict-two-level", "description": ""}}
    keystone.ill["/v3/limits/model"] = lambda: (200, model)

    with pytest.raises(errors.LimitsUnknown):
        asking(keystone).of("a project")

    assert "not flat" in caplog.text


@pytest.mark.parametrize(
    "path", ["/v3/auth/tokens", "/v3/registered_limits", "/v3/limits"]
)
def test_a_keystone_that_hangs_holds_a_caller_no_longer_than_the_timeout(
    keystone, asking, released, path
):
    keystone.ill[path] = lambda: (released.wait(30) and 500, b"")
    unified = asking(keystone, timeout=1)
    finished = []

    def ask() -> None:
        with pytest.raises(errors.LimitsUnknown):
            unified.of("a project")
        finished.append(True)

    callers = [threading.Thread(target=ask) for _ in range(10)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(5)

    assert len(finished) == 10
    assert keystone.asked[path] <= 3  # one for all callers, and its repetitions


def test_a_keystone_that_is_down_does_not_stop_the_start(keystone, asking):
    unified = asking(keystone, auth_url="http://127.0.0.1:9/v3")

    with pytest.raises(errors.LimitsUnknown):
        unified.of("a project")


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("auth_type", "auth_type"),
        ("auth_url", "auth"),
        ("username", "username"),
        ("password", "password"),
        ("endpoint_id", "endpoint_id"),
    ],
)
def test_what_is_missing_in_the_file_ends_the_start(keystone, asking, missing, said):
    with pytest.raises(errors.Misconfigured, match=said) as caught:
        asking(keystone, **{missing: None})

    assert "[oslo_limit]" in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        pytest.param("timeuot", "3", "timeuot.*Did you mean timeout", id="misspelt"),
        pytest.param("systemscope", "all", "Did you mean system", id="of-the-account"),
        pytest.param("timeout", "soon", "soon", id="no-number"),
        pytest.param("timeout", "0", "timeout is 0", id="no-time"),
    ],
)
def test_what_is_wrong_in_the_file_ends_the_start(
    keystone, asking, option, value, said
):
    with pytest.raises(errors.Misconfigured, match=said):
        asking(keystone, **{option: value})


def test_the_account_may_be_another_sections(keystone, tmp_path):
    path = tmp_path / "imageservice-api.conf"
    account = ("auth_type", "auth_url", "username", "password", "user_domain_name")
    options = {**keystone.options(), "auth_section": "keystone_authtoken"}
    sections = {
        "DEFAULT": {"use_keystone_limits": "true"},
        "oslo_limit": {k: v for k, v in options.items() if k not in account},
        "keystone_authtoken": {k: options[k] for k in (*account, "system_scope")},
    }
    del sections["oslo_limit"]["system_scope"]
    path.write_text(
        "".join(
            f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in section.items())
            for name, section in sections.items()
        )
    )

    unified = allowances.from_config(config.load([str(path)]))

    assert unified.of("a project").images == 20


def test_an_unknown_kind_of_account_ends_the_start(keystone, asking):
    with pytest.raises(errors.Misconfigured, match="passwort"):
        asking(keystone, auth_type="passwort")


def test_a_quota_beside_unified_limits_is_said_to_have_no_effect(
    keystone, asking, tmp_path, caplog
):
    asking(keystone)
    path = tmp_path / "imageservice-api.conf"
    path.write_text(
        path.read_text().replace("[DEFAULT]", "[DEFAULT]\nuser_storage_quota = 5GB")
    )

    found = allowances.from_config(config.load([str(path)])).of("a project")

    assert found.bytes == 100 * MIB
    assert "user_storage_quota: has no effect" in caplog.text
