"""Drivers whose libraries are missing are left out; in CI that is an error."""

import importlib.util
import os

LIBRARIES = {"boto3": "*s3*", "swiftclient": "test_swift.py"}
collect_ignore_glob = [
    tests
    for library, tests in LIBRARIES.items()
    if not importlib.util.find_spec(library) and not os.environ.get("CI")
]
