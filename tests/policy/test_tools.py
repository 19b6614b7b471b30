"""oslo.policy's commands, as operators run them, know our rules and find their files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from imageservice import config
from imageservice.context import Context
from imageservice.policy import rules
from imageservice.policy.enforcer import Enforcer
from tests import daemon

POLICY = """
delete_image: "role:janitor"
get_images: "rule:context_is_admin or (role:reader and project_id:%(project_id)s)"
copy_image: "rule:context_is_admin"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An operator's configuration folder, with a policy file of another name."""
    home = tmp_path / "etc"
    home.mkdir()
    (home / "imageservice-api.conf").write_text(
        "[DEFAULT]\nbind_port = 9292\n[oslo_policy]\npolicy_file = ours.yaml\n"
    )
    (home / "ours.yaml").write_text(POLICY)
    (home / "policy.d").mkdir()
    (home / "policy.d" / "more.yaml").write_text('publicize_image: "role:publisher"\n')
    return home


def run(name: str, *arguments: object, **environment: str) -> tuple[int, str]:
    """Run a command outside the source tree; return its status and what it printed."""
    done = subprocess.run(
        [sys.executable, daemon.command(name), *map(str, arguments)],
        cwd="/",
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def by_option(folder: Path) -> tuple[list[object], dict[str, str]]:
    return ["--config-file", folder / "imageservice-api.conf"], {}


def by_folder(folder: Path) -> tuple[list[object], dict[str, str]]:
    # What --config-dir reads are files, so the policy is looked for beside them.
    return ["--config-dir", folder], {}


def by_variable(folder: Path) -> tuple[list[object], dict[str, str]]:
    return [], {"IMAGESERVICE_CONFIG_DIR": str(folder)}


def by_folder_of_files(folder: Path) -> tuple[list[object], dict[str, str]]:
    """As when a deployment tool writes many small files, and no main one."""
    (folder / "imageservice-api.conf.d").mkdir()
    main = folder / "imageservice-api.conf"
    main.rename(folder / "imageservice-api.conf.d" / "10-main.conf")
    text = "[DEFAULT]\nbind_port = 9292\n"
    (folder / "imageservice-api.conf.d" / "10-main.conf").write_text(text)
    (folder / "ours.yaml").rename(folder / "policy.yaml")
    return [], {"IMAGESERVICE_CONFIG_DIR": str(folder)}


WAYS = pytest.mark.parametrize(
    "way", [by_option, by_folder, by_variable, by_folder_of_files]
)


def test_the_daemon_finds_its_policy_without_a_main_file_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    _, environment = by_folder_of_files(folder)
    monkeypatch.setenv(*environment.popitem())
    janitor = Context(project_id="p", roles=["janitor"], overwrite=False)

    assert Enforcer(config.load()).allows("delete_image", janitor, {})
    assert not Enforcer(config.load()).allows("publicize_image", janitor, {})


@WAYS
def test_the_policy_generator_writes_the_rules_in_force(folder: Path, way):
    arguments, environment = way(folder)

    status, written = run(
        "oslopolicy-policy-generator",
        "--namespace",
        "imageservice",
        *arguments,
        **environment,
    )

    found = yaml.safe_load(written)
    assert status == 0
    assert set(found) == rules.NAMES
    assert found["delete_image"] == "role:janitor"
    assert found["publicize_image"] == "role:publisher"
    assert found["context_is_admin"] == "role:admin"


@WAYS
def test_the_redundant_rules_are_those_that_say_what_is_said_anyway(folder: Path, way):
    arguments, environment = way(folder)

    status, printed = run(
        "oslopolicy-list-redundant",
        "--namespace",
        "imageservice",
        *arguments,
        **environment,
    )

    names = [line.partition(":")[0].strip('"') for line in printed.splitlines()]
    assert status == 0
    assert sorted(names) == ["copy_image", "get_images"]


def test_the_sample_generator_writes_every_rule_as_a_comment(tmp_path: Path):
    written = tmp_path / "policy.yaml"

    status, _ = run(
        "oslopolicy-sample-generator",
        "--namespace",
        "imageservice",
        "--output-file",
        written,
    )

    text = written.read_text()
    assert status == 0
    assert yaml.safe_load(text) is None
    assert all(f'\n#"{name}": ' in text for name in rules.NAMES)


@WAYS
def test_the_validator_accepts_good_files(folder: Path, way):
    arguments, environment = way(folder)

    status, printed = run(
        "oslopolicy-validator", "--namespace", "imageservice", *arguments, **environment
    )

    assert (status, printed) == (0, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param('delet_image: "!"', "delet_image", id="unknown"),
        pytest.param('delete_image: "role:a or"', "role:a or", id="not-understood"),
        pytest.param('delete_image: "rule:nobody"', "Invalid rules", id="undefined"),
    ],
)
def test_the_validator_finds_what_is_wrong(folder: Path, text: str, said: str):
    (folder / "ours.yaml").write_text(text)

    status, printed = run(
        "oslopolicy-validator",
        "--namespace",
        "imageservice",
        "--config-file",
        folder / "imageservice-api.conf",
    )

    assert status == 1
    assert said in printed


def test_the_checker_judges_a_token_by_the_rules_that_were_written(
    folder: Path, tmp_path: Path
):
    rules_in_force, token = tmp_path / "all.yaml", tmp_path / "token.json"
    run(
        "oslopolicy-policy-generator",
        "--namespace",
        "imageservice",
        "--output-file",
        rules_in_force,
        *by_option(folder)[0],
    )
    token.write_text(
        '{"token": {"roles": [{"name": "janitor"}], "user": {"id": "u"},'
        ' "project": {"id": "p"}}}'
    )

    answers = [
        run(
            "oslopolicy-checker",
            "--policy",
            rules_in_force,
            "--access",
            token,
            "--rule",
            rule,
        )[1].strip()
        for rule in ("delete_image", "modify_image")
    ]

    assert answers == ["passed: delete_image", "failed: modify_image"]
