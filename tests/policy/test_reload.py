"""Policy files that change under a running daemon count in every worker."""

import http.client
import time
from collections.abc import Callable
from concurrent import futures
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import StartDaemon
from tests.daemon import Daemon

#: How long a change may take on a busy machine. Each worker looks once a second.
PATIENCE_S = 60

#: New connections, so many at once that the kernel spreads them over the workers.
ENOUGH, AT_ONCE = 48, 16

CLOSED = 'get_images: "!"\n'
OPEN = 'get_images: "@"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the policy lies, beside a folder for more."""
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.d").mkdir()
    return tmp_path / "policy"


@pytest.fixture
def daemon(folder: Path, start_daemon: StartDaemon) -> Daemon:
    (folder / "policy.yaml").write_text(CLOSED)
    policy = {
        "policy_file": folder / "policy.yaml",
        "policy_dirs": folder / "policy.d",
    }
    return start_daemon({"DEFAULT": {"workers": 4}, "oslo_policy": policy})


def status(daemon: Daemon) -> int:
    """Ask for a list, on a connection of its own."""
    with closing(
        http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=10)
    ) as one:
        headers = {
            "X-Identity-Status": "Confirmed",
            "X-Project-Id": "p",
            "X-Roles": "reader",
        }
        one.request("GET", "/v2/images", headers=headers)
        return one.getresponse().status


def all_answer(daemon: Daemon, expected: int) -> bool:
    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(status, [daemon] * ENOUGH))
    return set(found) == {expected}


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "the change does not count everywhere"


def test_changes_of_the_file_and_of_the_folder_count_in_every_worker(
    daemon: Daemon, folder: Path
):
    assert all_answer(daemon, 403)

    (folder / "policy.yaml").write_text(OPEN)
    wait(lambda: all_answer(daemon, 200))

    (folder / "policy.d" / "10-closed.yaml").write_text(CLOSED)
    wait(lambda: all_answer(daemon, 403))

    (folder / "policy.d" / "10-closed.yaml").unlink()
    wait(lambda: all_answer(daemon, 200))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.unlink(), id="removed"),
        pytest.param(lambda path: path.write_text("{"), id="not-yaml"),
        pytest.param(lambda path: path.write_text('get_images: "@ or"'), id="no-rule"),
        pytest.param(
            lambda path: path.write_text('get_images: "rule:x"'), id="no-base"
        ),
        pytest.param(
            lambda path: (path.unlink(), path.mkdir()), id="a-folder-in-its-place"
        ),
    ],
)
def test_a_file_that_is_spoilt_leaves_the_rules_as_they_were_and_is_logged(
    daemon: Daemon, folder: Path, spoil: Callable[[Path], object]
):
    spoil(folder / "policy.yaml")

    def is_noticed() -> bool:
        assert all_answer(daemon, 403)
        return "rules stay as they were" in daemon.log.read_text()

    wait(is_noticed)


def test_a_file_that_is_named_and_missing_ends_the_start(
    folder: Path, start_daemon: StartDaemon
):
    policy = {"policy_file": folder / "polcy.yaml"}

    with pytest.raises(AssertionError, match=r"policy_file: there is no file .*polcy"):
        start_daemon({"oslo_policy": policy})
