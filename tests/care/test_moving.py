"""``imageservice-manage stores copy`` and ``drain``: images move, nothing is lost."""

import os
import signal
import subprocess
import time
import uuid

import pytest

from imageservice.cmd import manage
from imageservice.db.usage import Usage

MIB = 1024 * 1024
WAIT_S = 60


def results(answer):
    return {line["image_id"]: line["result"] for line in answer.of("image")}


def used(place):
    with place.tools() as tools:
        return Usage(tools.inventory._database).of("owner").bytes


def test_copies_are_made_once_and_charged(place):
    images = [place.upload("near") for _ in range(3)]

    first = place.manage("copy", "--to", "far", "--all")
    again = place.manage("copy", "--to", "far", "--image", *images)

    assert (first.code, again.code) == (0, 0)
    assert results(first) == dict.fromkeys(images, "copied")
    assert results(again) == dict.fromkeys(images, "there already")
    assert place.held("far") == sorted(images)
    assert used(place) == 2 * 3 * len(b"data")


def test_only_images_of_one_store_are_copied(place):
    mine, other = place.upload("near"), place.upload("spare")

    assert results(place.manage("copy", "--to", "far", "--from", "near")) == {
        mine: "copied"
    }
    assert place.stores_of(other) == ["spare"]


def test_bytes_that_changed_are_not_copied(place):
    bad, good = place.upload("near"), place.upload("near")
    place.file("near", bad).chmod(0o600)
    place.file("near", bad).write_bytes(b"dxta")

    answer = place.manage("copy", "--to", "far", "--all")

    assert answer.code == 3
    assert results(answer) == {bad: "failed", good: "copied"}
    assert place.held("far") == [good]
    assert place.stores_of(bad) == ["near"]


def test_draining_moves_everything_deactivated_images_too(place):
    images = [place.upload("near") for _ in range(3)]
    with place.tools() as tools:
        image = tools.images.find(tools.context, images[0])
        tools.images.deactivate(tools.context, image)

    answer = place.manage("drain", "near", "--to", "far")

    assert answer.code == 0
    assert results(answer) == dict.fromkeys(images, "moved")
    assert place.held("near") == []
    assert place.held("far") == sorted(images)
    assert used(place) == 3 * len(b"data")
    assert place.audit("--digest").code == 0


def test_a_drain_goes_on_where_it_was_broken_off(place):
    """A copy is there already, and the other one is still to go."""
    image = place.upload("near", "far")

    assert results(place.manage("drain", "near", "--to", "far")) == {image: "moved"}
    assert (place.held("near"), place.held("far")) == ([], [image])


def test_a_copy_that_was_there_is_read_before_the_other_one_goes(place):
    image = place.upload("near", "far")
    place.file("far", image).chmod(0o600)
    place.file("far", image).write_bytes(b"dxta")

    answer = place.manage("drain", "near", "--to", "far")

    assert answer.code == 3
    assert results(answer) == {image: "failed"}
    assert place.file("near", image).read_bytes() == b"data"


def test_an_image_that_is_named_and_not_there_is_told(place):
    image, unknown = place.upload("near"), str(uuid.uuid4())

    answer = place.manage("copy", "--to", "far", "--image", image, unknown)

    assert answer.code == 3
    assert results(answer) == {image: "copied", unknown: "no such image"}


def test_images_are_copied_no_faster_than_is_said(place):
    """At 4 MiB in a second the fourth MiB waits for three quarters of one."""
    for _ in range(4):
        place.upload("near", data=bytes(MIB))

    began = time.monotonic()
    answer = place.manage("copy", "--to", "far", "--all", "--rate", "4")

    assert time.monotonic() - began >= 0.75
    assert answer.of("images")[0]["copied"] == 4


def test_a_command_that_is_ended_leaves_no_halves_and_can_go_on(place):
    images = sorted(place.upload("near", data=bytes(4 * MIB)) for _ in range(3))
    words = ("drain", "near", "--to", "far")
    line = place.command(*words, "--rate", "1", "--jobs", "1")
    with subprocess.Popen(
        line,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Shells let what they run in the background ignore it, these tests included.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as one:
        deadline = time.monotonic() + WAIT_S
        while not place.held("far"):
            assert time.monotonic() < deadline, "nothing was copied"
            time.sleep(0.01)
        one.send_signal(signal.SIGINT)
        out, err = one.communicate(timeout=WAIT_S)

    assert one.returncode == 130
    assert b"the same command goes on" in err
    assert b"moved" in out
    assert not set(place.held("far")) - set(images)
    again = place.manage(*words)
    assert (again.code, place.held("near"), place.held("far")) == (0, [], images)


def test_a_warning_has_a_line_of_its_own_on_a_terminal(place):
    slow, bad = place.upload("near", data=bytes(2 * MIB)), place.upload("near")
    place.file("near", bad).unlink()
    line = place.command("copy", "--to", "far", "--image", slow, bad, "--rate", "1")
    terminal, screen = os.openpty()
    try:
        with subprocess.Popen(
            [*line, "--jobs", "1"], stdout=subprocess.PIPE, stderr=screen
        ) as one:
            out, _ = one.communicate(timeout=WAIT_S)
        shown = os.read(terminal, 64 * 1024).decode()
    finally:
        os.close(terminal)
        os.close(screen)

    assert "0 of 2 images, 1.0 MiB read" in shown
    assert f"\r\x1b[Kimage {bad}: from near to far" in shown
    assert out.decode().splitlines()[0].startswith(f"{bad}: failed")


def test_the_table_says_what_is_left_and_what_to_do(place, capsys):
    bad = place.upload("near")
    place.file("near", bad).unlink()

    assert manage.main(place.words("drain", "near", "--to", "far")) == 3

    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{bad}: failed (Store 'near' has no data")
    assert said[1].split()[:2] == ["copied", "there"]
    assert said[-2:] == [
        "The reasons are above; the same command tries again what is left.",
        "Left in near: 1",
    ]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("copy", "--to", "far"), id="no-images"),
        pytest.param(("copy", "--to", "far", "--all", "--from", "near"), id="two-ways"),
        pytest.param(("copy", "--to", "far", "--all", "--rate", "0"), id="rate"),
        pytest.param(("copy", "--to", "far", "--all", "--rate", "nan"), id="no-rate"),
        pytest.param(("copy", "--to", "far", "--all", "--jobs", "65"), id="jobs"),
        pytest.param(("audit", "--min-age", "-1"), id="age"),
    ],
)
def test_what_is_not_understood_is_told_in_a_line(place, words, capsys):
    with pytest.raises(SystemExit) as ended:
        place.manage(*words)

    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert len(last) < 160
    assert "_" not in last


@pytest.mark.parametrize(
    "words",
    [
        ("copy", "--to", "nowhere", "--all"),
        ("copy", "--to", "far", "--from", "nowhere"),
        ("drain", "nowhere", "--to", "far"),
        ("drain", "near", "--to", "near"),
    ],
)
def test_what_makes_no_sense_is_refused(place, words, capsys):
    assert place.manage(*words).code == 1
    assert capsys.readouterr().err
