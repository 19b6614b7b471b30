"""Prints which driver passed which case: ``python -m tests.stores.table JUNIT.XML``.

Two tables in Markdown, of the suite that every driver passes on its server, and of the
cases that each goes through in the daemon. A number is how many tests of a case passed.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from imageservice.stores.testing import DriverSuite

DAEMON = "test_daemon"

Cases = Mapping[str, Mapping[str, Counter[str]]]
"""By case and driver, how often which outcome was seen."""


def read(report: Path) -> tuple[Cases, Cases]:
    """Return what a report of pytest says of the suite, and of the daemon."""
    suite: dict[str, dict[str, Counter[str]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    daemon: dict[str, dict[str, Counter[str]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    for test in ElementTree.parse(report).iter("testcase"):
        case, _, parameters = test.attrib["name"].partition("[")
        module = test.attrib["classname"].split(".")[2]
        if module == DAEMON:
            driver = parameters.rstrip("]").split("-")[0]
            daemon[case][driver][outcome(test)] += 1
        elif hasattr(DriverSuite, case):
            driver = module.removeprefix("test_").replace("_", " on ")
            suite[case][driver][outcome(test)] += 1
    return suite, daemon


def outcome(test: ElementTree.Element) -> str:
    for child in test:
        if child.tag in ("failure", "error"):
            return "failed"
        if child.tag == "skipped":
            undeclared = "does not declare" in child.attrib.get("message", "")
            return "not declared" if undeclared else "skipped"
    return "passed"


def lines(cases: Cases) -> Iterable[str]:
    """The table in Markdown."""
    drivers = sorted({driver for row in cases.values() for driver in row})
    yield f"| case | {' | '.join(drivers)} |"
    yield f"| --- |{' ---: |' * len(drivers)}"
    for case, row in cases.items():
        name = case.removeprefix("test_").replace("_", " ")
        yield f"| {name} | {' | '.join(cell(row.get(driver)) for driver in drivers)} |"


def cell(seen: Counter[str] | None) -> str:
    if not seen:
        return ""
    if seen["failed"]:
        return f"**{seen['failed']} of {seen.total()} failed**"
    if seen["passed"]:
        return str(seen["passed"])
    return ", ".join(seen)


if __name__ == "__main__":
    for title, cases in zip(
        ("The suite", "In the daemon"), read(Path(sys.argv[1])), strict=True
    ):
        print(f"\n{title}:\n", *lines(cases), sep="\n")
