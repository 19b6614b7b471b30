"""Reads the YAML files: each is a story, told request by request, in order.

A story is a gabbi file with some words of our own:

``given``
    images that exist before the story begins: create members, and ``file`` for the data
``configuration``
    sections and options of the service, if they differ from the tests' usual ones
``files``
    documents that lie beside the configuration, by file name
``stores: one``
    the single-store form of the configuration
``as``
    who asks (``tests/people.py``), of a request or, under ``defaults``, of all
``<image x>``, ``<project x>``
    an image's id and a project's id that nobody else uses
``<256 times x>``
    the text as many times over

Headers that are null are not sent. Without others a request with data says
``application/json``, a PATCH the 2.1 media type, and a PUT of a file
``application/octet-stream``; all say ``Accept: application/json``.
"""

import dataclasses
import re
import unittest
import uuid
from pathlib import Path
from typing import Any

import yaml
from gabbi import case, handlers, suitemaker

from tests import people
from tests.http.handlers import HANDLERS
from tests.http.servers import Setting

FOLDER = Path(__file__).parent
NAME = re.compile(r"<(image|project) ([\w-]+)>")
REPEATED = re.compile(r"<(\d+) times (\w+)>")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")

Request = dict[str, Any]


@dataclasses.dataclass
class Story:
    """One file, to be told to one server; ``cases`` run in this order."""

    title: str
    setting: Setting
    cases: list[case.HTTPTestCase]
    projects: dict[str, str]

    def tell_to(self, url: str, http: object) -> None:
        """Let the requests go to the service at ``url``, through ``http``."""
        host, port = url.removeprefix("http://").split(":")
        for each in self.cases:
            each.host, each.port, each.http = host, int(port), http


def titles() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(title: str) -> Story:
    """Read one file, with ids and projects that were never used before."""
    run = uuid.uuid4()
    projects = {
        person.project: f"{person.project}-{run.hex[:8]}"
        for person in people.PEOPLE.values()
    }
    text = (FOLDER / f"{title}.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(_named(text, run, projects))
    setting = Setting(
        configuration=document.pop("configuration", {}),
        files=document.pop("files", {}),
        single_store=document.pop("stores", None) == "one",
    )
    defaults = document.pop("defaults", {})
    requests = [
        *(
            step
            for number, image in enumerate(document.pop("given", ()), 1)
            for step in _given(image, number)
        ),
        *document.pop("tests"),
    ]
    assert not document, f"{title}: unknown words {list(document)}"
    complete = [_complete(request, defaults, projects) for request in requests]
    names = [request["name"] for request in complete]
    assert len(set(names)) == len(names), f"{title}: two requests of one name"
    return Story(title, setting, _cases(title, complete), projects)


def _named(text: str, run: uuid.UUID, projects: dict[str, str]) -> str:
    def name(match: re.Match[str]) -> str:
        kind, word = match.groups()
        return projects[word] if kind == "project" else str(uuid.uuid5(run, word))

    text = REPEATED.sub(lambda match: match[2] * int(match[1]), text)
    return NAME.sub(name, text)


def _given(image: dict[str, Any], number: int) -> list[Request]:
    """Return the requests that make an image; their names are the same in each run."""
    image = dict(image)
    data, who = image.pop("file", None), image.pop("as", "owner")
    title = f"given {image.get('name') or f'image {number}'}"
    if data is not None:
        image = {"disk_format": "raw", "container_format": "bare", **image}
    steps: list[Request] = [
        {"name": title, "POST": "/v2/images", "data": image, "status": 201}
    ]
    if data is not None:
        url = f"/v2/images/{image['id']}/file"
        steps.append(
            {"name": f"{title}'s data", "PUT": url, "data": data, "status": 204}
        )
    return [{**step, "as": who} for step in steps]


def _complete(request: Request, defaults: Request, projects: dict[str, str]) -> Request:
    """Return the request in gabbi's words, with all its headers."""
    request = {**defaults, **request}
    method = next(word for word in request if word in METHODS)
    headers: dict[str, Any] = {"accept": "application/json"}
    if method == "PATCH":
        headers["content-type"] = "application/openstack-images-v2.1-json-patch"
    elif method == "PUT" and request[method].endswith("/file"):
        headers["content-type"] = "application/octet-stream"
    elif "data" in request:
        headers["content-type"] = "application/json"
    for given in (
        people.headers(request.pop("as", "owner"), projects),
        defaults.get("request_headers", {}),
        request.get("request_headers", {}),
    ):
        headers |= {name.lower(): value for name, value in given.items()}
    request["request_headers"] = {
        name: value for name, value in headers.items() if value is not None
    }
    return request


def _cases(title: str, requests: list[Request]) -> list[case.HTTPTestCase]:
    suite = suitemaker.test_suite_from_dict(
        loader=unittest.TestLoader(),
        test_base_name=title,
        suite_dict={"defaults": {"cert_validate": False}, "tests": requests},
        test_directory=str(FOLDER),
        host="unset",
        port=0,
        fixture_module=None,
        intercept=None,
        handlers=[handler() for handler in (*HANDLERS, *handlers.RESPONSE_HANDLERS)],
    )
    return list(suite)
