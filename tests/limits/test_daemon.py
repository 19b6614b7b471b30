"""Limits of a real Keystone hold in the daemon, and count when they are changed."""

import os
import signal
import threading
import time
import uuid

import pytest

from tests.conftest import StartDaemon
from tests.daemon import Daemon, command
from tests.identity.keystone import Keystone
from tests.identity.limits import Limits
from tests.limits.people import MIB, Project


@pytest.fixture
def daemon(limits: Limits, start_daemon: StartDaemon) -> Daemon:
    options = limits.options()
    options["DEFAULT"]["workers"] = 2
    return start_daemon(options)


@pytest.fixture
def owner(daemon: Daemon, keystone: Keystone) -> Project:
    return Project(daemon, keystone.project("owner"))


@pytest.fixture
def partner(daemon: Daemon, keystone: Keystone) -> Project:
    return Project(daemon, keystone.project("partner"))


def test_one_mib_fits_into_one_mib_and_the_next_does_not(
    owner: Project, partner: Project, limits: Limits
) -> None:
    limits.set("image_size_total", 1)

    assert owner.upload(owner.image(), MIB).status_code == 204
    second = owner.image()
    refused = owner.upload(second, MIB)

    assert refused.status_code == 413
    assert "image_size_total" in refused.text
    assert owner.status(second) == "queued"
    assert partner.upload(partner.image(), MIB).status_code == 204


def test_a_raised_limit_lets_the_same_upload_in(owner: Project, limits: Limits) -> None:
    limits.set("image_size_total", 1)
    image = owner.image()
    assert owner.upload(image, 2 * MIB).status_code == 413

    limits.set("image_size_total", 2, owner.id)

    assert owner.upload(image, 2 * MIB).status_code == 204


def test_what_is_deleted_makes_room(owner: Project, limits: Limits) -> None:
    limits.set("image_size_total", 1)
    first, second = owner.image(), owner.image()
    assert owner.upload(first, MIB).status_code == 204
    assert owner.upload(second, MIB).status_code == 413

    owner.delete(first)

    assert owner.upload(second, MIB).status_code == 204


def test_a_limit_below_what_is_stored_takes_nothing_away(
    owner: Project, limits: Limits
) -> None:
    image = owner.image()
    assert owner.upload(image, 2 * MIB).status_code == 204

    limits.set("image_size_total", 1)

    assert owner.status(image) == "active"
    assert owner.call("GET", f"/v2/images/{image}/file").status_code == 200
    assert owner.usage()["image_size_total"] == (2, 1)


def test_images_are_counted_with_data_or_without(
    owner: Project, partner: Project, limits: Limits
) -> None:
    limits.set("image_count_total", 2)
    first = owner.image()
    owner.upload(owner.image(), 1)

    refused = owner.create()

    assert refused.status_code == 413
    assert "image_count_total" in refused.text
    assert partner.create().status_code == 201
    owner.delete(first)
    assert owner.create().status_code == 201


def test_so_many_uploads_at_once_as_the_limit_says(
    owner: Project, limits: Limits
) -> None:
    limits.set("image_count_uploading", 1)
    first, second = owner.image(), owner.image()
    sent, end = threading.Event(), threading.Event()
    statuses: list[int] = []
    uploading = threading.Thread(
        target=lambda: statuses.append(owner.held(first, sent, end))
    )
    uploading.start()
    try:
        assert sent.wait(30)

        refused = owner.upload(second, 1)

        assert refused.status_code == 413
        assert "image_count_uploading" in refused.text
        assert owner.status(second) == "queued"
        assert owner.usage()["image_count_uploading"] == (1, 1)
    finally:
        end.set()
        uploading.join(60)
    assert statuses == [204]
    assert owner.upload(second, 1).status_code == 204


def test_what_is_not_registered_refuses_everything_it_is_about(
    daemon: Daemon, owner: Project, limits: Limits
) -> None:
    image = owner.image()
    limits.unregister("image_count_total")

    refused = owner.create()

    assert refused.status_code == 413
    assert owner.upload(image, 1).status_code == 204
    said = daemon.log.read_text()
    assert "Keystone has no limit image_count_total registered" in said


def test_a_full_project_is_told_so_even_for_an_image_that_is_not_there(
    owner: Project, limits: Limits
) -> None:
    limits.set("image_size_total", 1)
    missing = str(uuid.uuid4())

    assert owner.upload(missing, 2 * MIB).status_code == 413
    assert owner.upload(missing, MIB).status_code == 404


def test_usage_tells_every_limit_and_what_is_used_of_it(
    owner: Project, limits: Limits
) -> None:
    limits.set("image_size_total", 10)
    limits.set("image_stage_total", 5)
    limits.set("image_count_total", 3, owner.id)
    owner.image()
    assert owner.upload(owner.image(), MIB + MIB // 2).status_code == 204

    assert owner.usage() == {
        "image_size_total": (1, 10),
        "image_stage_total": (0, 5),
        "image_count_total": (2, 3),
        "image_count_uploading": (0, -1),
    }


def test_usage_is_empty_without_unified_limits(start_daemon: StartDaemon) -> None:
    assert Project(start_daemon()).usage() == {}


def test_a_new_file_without_an_account_leaves_the_old_workers_at_work(
    daemon: Daemon, owner: Project, limits: Limits
) -> None:
    limits.set("image_size_total", 1)
    text = daemon.configuration.read_text()
    daemon.configuration.write_text(text.replace("auth_type = password\n", ""))

    os.kill(daemon.pid, signal.SIGHUP)

    deadline = time.monotonic() + 30
    while "[oslo_limit] auth_type is not set" not in daemon.log.read_text():
        assert time.monotonic() < deadline, "nobody complains"
    assert owner.usage()["image_size_total"] == (0, 1)


def test_workers_that_take_over_after_sighup_hold_the_limits_of_the_new_file(
    daemon: Daemon, owner: Project, limits: Limits, keystone: Keystone
) -> None:
    limits.set("image_size_total", 1)
    wrong = daemon.configuration.read_text().replace(
        keystone.password("imageservice"), "wrong"
    )
    daemon.configuration.write_text(wrong)

    os.kill(daemon.pid, signal.SIGHUP)

    deadline = time.monotonic() + 30
    while owner.call("GET", "/v2/info/usage").status_code == 200:
        assert time.monotonic() < deadline, "the old workers go on"
    assert owner.call("GET", "/v2/images").status_code == 200


def test_glance_prints_usage(
    start_daemon: StartDaemon, keystone: Keystone, limits: Limits
) -> None:
    from tests.compat.test_commands import run

    daemon = start_daemon(keystone.options(limits.options()))
    limits.set("image_count_total", 7)

    printed = run(
        "glance", "--os-image-url", daemon.url, "--os-auth-token",
        keystone.token("owner"), "usage",
    )  # fmt: skip

    [line] = [ln for ln in printed.splitlines() if "image_count_total" in ln]
    assert "7" in line, command("glance")
