"""The conformance suite: what every driver must do, ours and others'.

A driver's test is a class with one fixture and one method::

    class TestMyStore(DriverSuite):
        @pytest.fixture
        def driver(self):
            return MyStore("mine", Threads(), ...)

        def left(self, driver):
            return [names of all that the back end holds, unfinished data included]

Needs pytest (``pip install imageservice[test]``), and its mark ``slow`` registered.
"""

from imageservice.stores.testing.describing import Describing
from imageservice.stores.testing.keys import Keys
from imageservice.stores.testing.materials import (
    EDGES,
    PATIENCE_S,
    REFUSAL,
    Interrupted,
    Pause,
    Stream,
    Threads,
    Zeros,
    failures,
    fetched,
    pattern,
    raising,
    read_all,
)
from imageservice.stores.testing.reading import Reading
from imageservice.stores.testing.removing import Removing
from imageservice.stores.testing.writing import Writing

__all__ = [
    "DriverSuite",
    "EDGES",
    "PATIENCE_S",
    "REFUSAL",
    "Interrupted",
    "Pause",
    "Stream",
    "Threads",
    "Zeros",
    "failures",
    "fetched",
    "pattern",
    "raising",
    "read_all",
]


class DriverSuite(Describing, Writing, Reading, Keys, Removing):
    """Inherit from this; see the module's text."""
