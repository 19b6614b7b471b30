"""``stores drain`` beside a daemon whose users read what is moved."""

from pathlib import Path

from tests.care.running import drain_while_it_is_read
from tests.conftest import StartDaemon


def test_who_reads_slowly_gets_all_of_an_image_that_is_moved(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    daemon = start_daemon(
        {
            "DEFAULT": {"enabled_backends": "near:file, far:file"},
            "glance_store": {"default_backend": "near"},
            "near": {"filesystem_store_datadir": tmp_path / "near"},
            "far": {"filesystem_store_datadir": tmp_path / "far"},
        }
    )

    drain_while_it_is_read(daemon, "near", "far")
