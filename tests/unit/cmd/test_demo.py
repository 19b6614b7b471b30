"""The demo tells the truth: about the disk it makes, the port it takes and the bytes."""

import io
import os
import socket
from pathlib import Path

import pytest
from oslo_utils.imageutils import format_inspector

from imageservice.cmd.demo import __main__ as demo
from imageservice.cmd.demo import client, daemon, disk


def test_the_disk_it_makes_has_a_partition_table_that_passes_the_safety_checks():
    file = io.BytesIO()

    disk.make(file, disk.DISK_BYTES)

    inspector = format_inspector.GPTInspector()
    inspector.eat_chunk(file.read(512))
    assert file.getbuffer().nbytes == disk.DISK_BYTES
    assert inspector.format_match
    inspector.safety_check()


@pytest.mark.parametrize(
    ("name", "content", "disk_format"),
    [
        pytest.param("a.img", b"QFI\xfb\0\0\0\3" + bytes(600), "qcow2", id="by-magic"),
        pytest.param("a.qcow2", bytes(600), "raw", id="magic-beats-extension"),
        pytest.param("a.aki", bytes(600), "aki", id="by-extension"),
        pytest.param("a", b"", "raw", id="empty"),
    ],
)
def test_the_format_of_an_own_image_is_told_by_its_content_first(
    tmp_path: Path, name: str, content: bytes, disk_format: str
):
    (tmp_path / name).write_bytes(content)

    assert disk.detect(tmp_path / name) == disk_format


def test_a_disk_with_a_partition_table_counts_as_raw(tmp_path: Path):
    with (tmp_path / "disk.img").open("wb") as file:
        disk.make(file, 4 * disk.BLOCK)

    assert disk.detect(tmp_path / "disk.img") == "raw"


def test_a_port_in_use_is_replaced_by_a_free_one():
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]

        assert daemon.free_port(taken) != taken


def test_progress_off_a_terminal_is_one_line():
    out = io.StringIO()
    progress = client.Progress("upload ", 2 * client.BLOCK, out)

    progress.add(client.BLOCK)
    progress.add(client.BLOCK)
    progress.finish()

    assert out.getvalue().startswith(f"upload [{'#' * client.BAR}] 100%  2.0 MiB at ")
    assert out.getvalue().count("\n") == 1


def test_an_image_without_a_name_or_size_still_has_its_row():
    row = {
        "id": "1",
        "name": None,
        "disk_format": "raw",
        "size": None,
        "status": "queued",
    }

    assert demo.table([row]).splitlines()[2].split() == [
        "1",
        "None",
        "raw",
        "None",
        "queued",
    ]


def test_an_image_that_is_not_there_ends_the_demo_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    status = demo.main(
        ["--data-dir", str(tmp_path), "--port", "0", "--image", "/nowhere.img"]
    )

    assert status == 1
    assert "cannot read /nowhere.img: No such file" in capsys.readouterr().err


def test_a_daemon_that_cannot_start_is_shown_with_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "imageservice.sqlite").mkdir()  # where the database's file should be

    status = demo.main(["--data-dir", str(tmp_path), "--port", "0"])

    shown = capsys.readouterr().err
    assert status == 1
    assert "daemon.log" in shown
    assert "unable to open database file" in shown


def test_the_bytes_of_an_own_image_come_back_and_the_way_on_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    image = tmp_path / "own.raw"
    image.write_bytes(os.urandom(3 * 1024 * 1024 + 7))
    folder = tmp_path / "data"

    status = demo.main(
        ["--data-dir", str(folder), "--port", "0", "--image", str(image)]
    )

    shown = capsys.readouterr().out
    assert status == 0, shown
    assert "own.raw" in shown
    assert "have one SHA-512" in shown
    assert f"imageservice-api --data-dir {folder} --bind-port" in shown
    assert "auth_type: none" in (folder / "clouds.yaml").read_text()
