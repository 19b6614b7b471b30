"""All tests; a package, so that they can share ``tests.daemon`` and ``tests.databases``."""
