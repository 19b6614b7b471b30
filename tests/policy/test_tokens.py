"""A sample of the matrix with the tokens of a real Keystone, asked of the real daemon."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.conftest import daemons
from tests.daemon import Daemon
from tests.identity.keystone import DOMAIN, Account, Keystone
from tests.policy import cells, judge
from tests.policy.cells import RELATIONS, Cell
from tests.policy.conftest import stores
from tests.policy.images import Answer, Images, images
from tests.policy.operations import Request

#: The column in which a token with this role stands. Keystone adds what it implies:
#: admin is manager, member and reader, a manager is member and reader, a member is
#: reader. No token has ``member`` or ``manager`` alone. A visitor has no role of ours.
COLUMNS = {
    "visitor": "-",
    "reader": "r",
    "member": "u",
    "manager": "u",
    "service": "s",
    "admin": "A",
}

#: Those who make the images are written as in the matrix.
MAKERS = {"u": "member", "A": "admin"}

SIZE = 100


def sample() -> list[tuple[str, Cell, str]]:
    """Choose cells, the same at each run, each with a role that stands in its column."""
    possible = [
        (name, cell, role)
        for name, found in cells.read().items()
        for cell in found
        for role, column in COLUMNS.items()
        if cell.role == column
    ]
    return random.Random(20).sample(possible, SIZE)  # noqa: S311 - no secret


class People:
    """Calls a daemon with tokens; a user for each role in each project, when needed."""

    def __init__(self, keystone: Keystone, daemon: Daemon, http: httpx.Client) -> None:
        self._keystone, self._daemon, self._http = keystone, daemon, http
        self.projects: Mapping[str, str] = {
            relation: keystone.make("projects", f"matrix-{relation}", domain_id=DOMAIN)
            for relation in RELATIONS
        }
        self._names = {id_: f"matrix-{name}" for name, id_ in self.projects.items()}
        self._known: set[str] = set()

    def __call__(self, project: str, role: str, request: Request) -> Answer:
        answer = self._http.request(
            request.method,
            self._daemon.url + request.path,
            content=request.body or None,
            headers={
                "X-Auth-Token": self._token(self._names[project], role),
                "Accept": "application/json",
                **({"Content-Type": request.content_type} if request.body else {}),
            },
        )
        return Answer(answer.status_code, answer.content)

    def _token(self, project: str, role: str) -> str:
        role = MAKERS.get(role, role)
        name = f"{role}-of-{project}"
        if name not in self._known:
            self._keystone.settle(name, Account(project, role))
            self._known.add(name)
        return self._keystone.token(name)


@pytest.fixture(scope="module")
def people(
    keystone: Keystone, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[People, Images]]:
    folder = tmp_path_factory.mktemp("tokens")
    with (
        daemons(folder) as start,
        httpx.Client(timeout=30) as http,
    ):
        daemon = start(keystone.options(stores(folder)))
        people = People(keystone, daemon, http)
        file = Path(daemon.database.removeprefix("sqlite:///"))
        with images(people, people.projects, file) as made:
            yield people, made


@pytest.mark.parametrize(
    ("name", "cell", "role"),
    [
        pytest.param(
            *each, id=f"{each[0]}-{each[1].visibility}-{each[1].relation}-{each[2]}"
        )
        for each in sample()
    ],
)
def test_a_token_is_answered_as_the_matrix_says(
    name: str, cell: Cell, role: str, people: tuple[People, Images]
):
    call, made = people

    wrong = judge.wrong(name, cell._replace(role=role), call, made, call.projects)

    assert wrong is None
