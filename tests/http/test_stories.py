"""Tells every story to every kind of server."""

import unittest

import pytest
from gabbi import case, reporter

from tests.http import stories
from tests.http.servers import KINDS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    arguments, ids = [], []
    for kind in KINDS:
        for title in stories.titles():
            # One object for all requests of a story: pytest keeps the fixture for it.
            told = (kind, stories.read(title))
            for each in told[1].cases:
                arguments.append((told, each))
                ids.append(f"{kind}/{title}/{each.test_data['name']}")
    metafunc.parametrize(
        ("told", "request_"), arguments, ids=ids, indirect=["told"], scope="module"
    )


@pytest.mark.usefixtures("told")
def test_story(request_: case.HTTPTestCase) -> None:
    """One request of a story; those before it are made first if they were not yet."""
    result: unittest.TestResult = reporter.PyTestResult()
    request_.run(result)
