"""``imageservice-api``: has the standard library patched, then is the daemon."""

import importlib
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon with these arguments; return its exit status."""
    # The server patches the standard library. What keeps a lock or a thread-local must
    # be loaded after it; and what is loaded here, once, the workers share in memory.
    importlib.import_module("imageservice.wsgi.server")
    importlib.import_module("imageservice.pipeline")  # what Paste would load later
    daemon = importlib.import_module("imageservice.cmd.daemon")
    status: int = daemon.run(sys.argv[1:] if argv is None else argv)
    return status
