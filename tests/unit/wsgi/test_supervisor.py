"""The main process, where it needs no workers to be looked at."""

import pytest

from imageservice import errors
from imageservice.wsgi.options import Settings
from imageservice.wsgi.supervisor import STARTING_S, Supervisor


def test_a_worker_that_cannot_be_killed_keeps_the_supervisor_from_no_rest():
    supervisor = Supervisor(Settings(), lambda workers: None)
    supervisor._stops_at = 0.0  # long ago

    assert supervisor._timeout() >= STARTING_S


def test_a_pid_file_that_cannot_be_written_is_said_in_one_line(tmp_path):
    settings = Settings(bind_port=0, pid_file=str(tmp_path))

    with pytest.raises(errors.Misconfigured, match="pid_file"):
        Supervisor(settings, lambda workers: None).run()
