"""The application in this process, which believes identity headers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import webob

from imageservice import config, service
from imageservice.wsgi import threads
from tests import daemon, databases
from tests.jobs import begin
from tests.policy.cells import RELATIONS, ROLES
from tests.policy.images import Answer, Images, images
from tests.policy.operations import Request

PROJECTS = {relation: f"project-{relation}" for relation in RELATIONS}


def stores(data: Path) -> dict[str, dict[str, object]]:
    """Options of those that the matrix speaks of, their bytes in folders of ``data``."""
    for name in ("main", "archive"):
        (data / name).mkdir(exist_ok=True)
    return {
        "DEFAULT": {
            "enabled_backends": "main:file, archive:file, web:http",
            "show_multiple_locations": True,
        },
        "glance_store": {"default_backend": "main"},
        "main": {"filesystem_store_datadir": data / "main"},
        "archive": {"filesystem_store_datadir": data / "archive"},
    }


class App:
    """The application, on a database and folders of bytes that others use as well."""

    def __init__(self, folder: Path, database: str, data: Path, policy: str) -> None:
        if policy:
            (folder / "policy.yaml").write_text(policy, encoding="utf-8")
        options = stores(data) | {"database": {"connection": database}}
        path = daemon.configure(folder, options)
        self._wsgi = service.application(config.load([str(path)]), threads.Workers())
        begin(self._wsgi.background)

    def __call__(self, project: str, role: str, request: Request) -> Answer:
        """Send a request as a project, with a role: a letter of the matrix, or names."""
        return self.send(
            request, {"X-Project-Id": project, "X-Roles": ROLES.get(role, role)}
        )

    def send(self, request: Request, identity: dict[str, str]) -> Answer:
        sent = webob.Request.blank(
            request.path,
            method=request.method,
            body=request.body,
            headers={
                "X-Identity-Status": "Confirmed",
                "X-User-Id": "somebody",
                "Accept": "application/json",
                **identity,
            },
        )
        if request.body:
            sent.content_type = request.content_type
        answer = sent.get_response(self._wsgi)
        return Answer(answer.status_int, answer.body)


class World(NamedTuple):
    """An application with some rules; its images are made by one with the default rules."""

    app: App
    images: Images


AWorld = Callable[[str], World]


class Place(NamedTuple):
    """Where all of them find the same images."""

    database: str
    data: Path


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("policy")
    with databases.ready("sqlite", folder) as url:
        yield Place(url, folder)


@pytest.fixture(scope="session")
def world(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The one with the default rules."""
    app = App(tmp_path_factory.mktemp("default"), *place, policy="")
    file = Path(place.database.removeprefix("sqlite:///"))
    with images(app, PROJECTS, file) as made:
        yield World(app, made)


@pytest.fixture
def a_world(world: World, place: Place, tmp_path: Path) -> AWorld:
    """Make one with the text of a policy file."""
    return lambda policy: World(App(tmp_path, *place, policy=policy), world.images)
