"""Where Ceph's Python modules come from: the distribution, never PyPI.

They are C extensions of the distribution's own Python. A virtual environment of the same
version may use them, but must not see the folder in which they lie: everything else in
there would take the place of the environment's own packages. So only these two modules
are taken from it.
"""

import importlib
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any, NamedTuple

from imageservice import errors

FOLDERS = (
    "/usr/lib/python3/dist-packages",  # Debian, Ubuntu
    f"/usr/lib64/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages",
    f"/usr/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages",
)


class Bindings(NamedTuple):
    """The modules; they have no types of their own."""

    rados: Any
    rbd: Any


def load(store: str) -> Bindings:
    """Import both modules. Raises LibraryMissing, naming the package."""
    try:
        return Bindings(_module("rados"), _module("rbd"))
    except ImportError as error:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        reason = (
            f"store '{store}': {error}. Ceph's modules are not on PyPI: install the "
            "distribution's package python3-rbd, and run the service with a Python of "
            f"the version it was built for (this is {version})"
        )
        raise errors.LibraryMissing(reason=reason) from error


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        spec = importlib.machinery.PathFinder.find_spec(name, FOLDERS)
        if spec is None or spec.loader is None:
            raise
    module = importlib.util.module_from_spec(spec)
    # rbd imports rados by name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
