"""What a test run leaves on the machine when it is killed."""

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE_MS = 20_000

RUN = """
import sys
from tests import programs
programs.start(["sh", "-c", "echo $$; exec sleep 3600"], sys.stdout.buffer)
sys.stdin.read()
"""


@pytest.mark.skipif(not shutil.which("setpriv"), reason="util-linux has no setpriv")
def test_a_program_ends_with_the_run_that_started_it():
    with subprocess.Popen(
        [sys.executable, "-c", RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    ) as run:
        assert run.stdout
        program = os.pidfd_open(int(run.stdout.readline()))

        run.send_signal(signal.SIGKILL)

        ends = select.poll()
        ends.register(program, select.POLLIN)
        assert ends.poll(PATIENCE_MS), "the program goes on"
        os.close(program)
