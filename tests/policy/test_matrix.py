"""The whole matrix, asked of the application in this process."""

import pytest

from imageservice.policy.rules import RULES
from tests.policy import cells, judge
from tests.policy.conftest import PROJECTS, World
from tests.policy.operations import OPERATIONS

MATRIX = cells.read()


@pytest.mark.parametrize("name", list(MATRIX))
def test_the_answers_are_as_the_matrix_says(name: str, world: World):
    wrong = {}
    for cell in MATRIX[name]:
        found = judge.wrong(name, cell, world.app, world.images, PROJECTS)
        if found is not None:
            wrong[cell] = found

    assert not wrong, "\n".join(f"{cell}: {found}" for cell, found in wrong.items())


def test_every_operation_of_the_matrix_has_its_request():
    assert set(MATRIX) == set(OPERATIONS)


def test_the_matrix_is_whole():
    images = len(cells.VISIBILITIES) * len(cells.RELATIONS) * len(cells.ROLES)
    of_images = [name for name, found in MATRIX.items() if len(found) == images]

    assert len(of_images) == 38
    assert sum(map(len, MATRIX.values())) > 4500


def test_every_rule_that_is_asked_for_is_in_the_matrix():
    legend = cells.FILE.read_text("utf-8")
    # The owner and the members read their rows with get_member; get_images is a list.
    unnamed = {"get_member"}

    for needed in RULES.values():
        for rule in set(needed.names) - unnamed:
            assert rule in legend, rule
