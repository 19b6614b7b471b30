"""The application in this process, which believes identity headers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import webob

from imageservice import config, service
from imageservice.wsgi import threads
from tests import daemon, databases
from tests.policy.cells import RELATIONS, ROLES
from tests.policy.images import Answer, Images, images
from tests.policy.operations import Request

PROJECTS = {relation: f"project-{relation}" for relation in RELATIONS}


class App:
    """Calls the application; ``folder`` is where its policy files lie."""

    def __init__(self, folder: Path, database: str, policy: str = "") -> None:
        self.folder = folder
        if policy:
            (folder / "policy.yaml").write_text(policy, encoding="utf-8")
        options = {
            "DEFAULT": {"enabled_backends": "main:memory"},
            "glance_store": {"default_backend": "main"},
            "database": {"connection": database},
        }
        path = daemon.configure(folder, options)
        self._wsgi = service.application(config.load([str(path)]), threads.Workers())

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
    app: App
    images: Images


AWorld = Callable[[str], World]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The application with the default rules, and images for it."""
    folder = tmp_path_factory.mktemp("policy")
    with databases.ready("sqlite", folder) as url:
        app = App(folder, url)
        with images(app, PROJECTS, _file(url)) as made:
            yield World(app, made)


@pytest.fixture
def a_world(tmp_path: Path) -> Iterator[AWorld]:
    """Make an application with the text of a policy file."""
    with databases.ready("sqlite", tmp_path) as url:
        opened: list[Any] = []

        def make(policy: str) -> World:
            app = App(tmp_path, url, policy)
            opened.append(images(app, PROJECTS, _file(url)))
            return World(app, opened[-1].__enter__())

        yield make
        for each in opened:
            each.__exit__(None, None, None)


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))
