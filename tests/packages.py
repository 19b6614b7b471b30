"""Packages of the distribution that tests need and, as root, install."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.databases import missing

INSTALL_S = 900


def needs(programs: Sequence[str], packages: Sequence[str]) -> None:
    """Install Debian packages whose programs or files are missing, where we may."""
    lacking = [
        name for name in programs if not shutil.which(name) and not Path(name).exists()
    ]
    if not lacking:
        return
    if os.geteuid() or shutil.which("apt-get") is None:
        missing(f"{', '.join(lacking)} missing: apt-get install {' '.join(packages)}")
    print("installing", *packages, file=sys.stderr)
    apt(
        "update"
    )  # a fresh machine knows no packages; without a network an old list may do
    trouble = apt("install", *packages)
    if trouble:
        missing(f"apt-get install {' '.join(packages)}: {trouble}")


def apt(*command: str) -> str:
    """Run ``apt-get``; return what went wrong, nothing if all went well."""
    # No daemon of the distribution's is to be started by its package.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    options = ("-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300")
    done = subprocess.run(
        ["apt-get", *options, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_S,
        env=environment,
    )
    return done.stderr.strip()[-300:] if done.returncode else ""
