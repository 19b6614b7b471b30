"""What importing the package does, and what it leaves alone."""

import subprocess
import sys

import pytest

from imageservice import wsgi


def test_the_supervisor_does_without_greenlets():
    script = (
        "import sys, imageservice.wsgi.supervisor, imageservice.wsgi.threads;"
        "sys.exit(bool({'eventlet', 'greenlet', 'imageservice.service'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_nothing_but_the_application_is_made_on_demand():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        assert wsgi.nothing
