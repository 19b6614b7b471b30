"""Where the limits of projects come from."""

import pytest

from imageservice import config, errors
from imageservice.domain.allowance import UNLIMITED, Allowance
from imageservice.limits import allowances


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("0", None),
        ("0TB", None),
        ("7", 7),
        ("7B", 7),
        ("7KB", 7 * 2**10),
        ("7MB", 7 * 2**20),
        ("7GB", 7 * 2**30),
        ("7TB", 7 * 2**40),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_the_quota_of_storage_has_a_number_and_a_unit(tmp_path, written, size):
    conf = config.load([_file(tmp_path, f"user_storage_quota = {written}")])

    found = allowances.from_config(conf).of("a project")

    assert found == Allowance(None, size, None, None, "user_storage_quota")


@pytest.mark.parametrize(
    "written",
    ["7 GB", "7gb", "7G", "GB", "-1", "1.5GB", "1e3", "٧", "8388608TB", "7GB 7GB"],
)
def test_a_quota_that_is_none_ends_the_start(tmp_path, written):
    path = _file(tmp_path, f"user_storage_quota = {written}")

    with pytest.raises(errors.Misconfigured) as caught:
        config.load([path])

    assert f"{path}, line 2, [DEFAULT] user_storage_quota" in str(caught.value)
    assert f"'{written}'" in str(caught.value)


def test_who_has_no_project_is_not_limited():
    one = allowances.Same(UNLIMITED._replace(bytes=1))

    assert one.of(None) == UNLIMITED
    assert one.of("a project").bytes == 1


def _file(folder, *lines):
    path = folder / "imageservice-api.conf"
    path.write_text("\n".join(["[DEFAULT]", *lines, ""]))
    return path
