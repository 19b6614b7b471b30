"""Images for the cells: of every visibility and state, with members of every status."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.policy.operations import CONTENT, PATCH, Request, Rows

TABLES = {
    "images": "id",
    "image_properties": "image_id",
    "image_tags": "image_id",
    "image_members": "image_id",
    "image_locations": "image_id",
    "leases": "image_id",
}


class Answer(NamedTuple):
    status: int
    body: bytes

    @property
    def json(self) -> dict[str, list[dict[str, str]]]:
        document: dict[str, list[dict[str, str]]] = json.loads(self.body)
        return document


#: Sends a request for a project, with a role (a letter of the matrix).
Call = Callable[[str, str, Request], Answer]


class Images:
    """Makes images and keeps them until they are spoiled.

    ``projects`` gives the project's id for each relation.
    """

    def __init__(self, call: Call, projects: Mapping[str, str], database: Path) -> None:
        self._call = call
        self._projects = projects
        self._database = sqlite3.connect(database, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._kept: dict[tuple[str, str], str] = {}

    def close(self) -> None:
        self._database.close()

    def get(self, visibility: str, state: str) -> str:
        """Return the id of an image that nobody has changed since it was made."""
        key = (visibility, state)
        if key not in self._kept:
            self._kept[key] = self._make(visibility, state)
        return self._kept[key]

    def spoil(self, visibility: str, state: str) -> None:
        """Remove the image: it was changed."""
        self.remove(self._kept.pop((visibility, state)))

    def remove(self, image: str) -> None:
        with contextlib.suppress(AssertionError):
            self._as("owner", "A", "DELETE", f"/v2/images/{image}")

    def rows(self, image: str) -> Rows:
        """Return all that the database knows of an image."""
        return {
            table: [
                dict(row)
                for row in self._database.execute(
                    f"SELECT * FROM {table} WHERE {column} = ? ORDER BY 1, 2, 3",
                    (image,),
                )
            ]
            for table, column in TABLES.items()
        }

    def count(self) -> int:
        (count,) = self._database.execute("SELECT count(*) FROM images").fetchone()
        return int(count)

    def _make(self, visibility: str, state: str) -> str:
        document = {
            "name": f"{visibility} {state}",
            "disk_format": "raw",
            "container_format": "bare",
            "visibility": "shared",
            "tags": ["old"],
            "colour": "blue",
        }
        made = self._as("owner", "u", "POST", "/v2/images", json.dumps(document))
        image = str(made.json["id"])
        path = f"/v2/images/{image}"
        if state != "queued":
            sent = Request("PUT", f"{path}/file", CONTENT, "application/octet-stream")
            assert self._call(self._projects["owner"], "u", sent).status == 204
        if state == "copied":
            self._copy(image)
        for relation in ("accepted", "pending", "rejected"):
            project = self._projects[relation]
            body = json.dumps({"member": project})
            self._as("owner", "u", "POST", f"{path}/members", body)
            if relation != "pending":
                status = json.dumps({"status": relation})
                self._as(relation, "u", "PUT", f"{path}/members/{project}", status)
        if state == "deactivated":
            self._as("owner", "u", "POST", f"{path}/actions/deactivate")
        if visibility != "shared":
            change = [{"op": "replace", "path": "/visibility", "value": visibility}]
            self._as("owner", "A", "PATCH", path, json.dumps(change), PATCH)
        return image

    def _copy(self, image: str) -> None:
        """Give the image a row of a second copy; that its bytes are gone does not matter."""
        self._database.execute(
            "INSERT INTO image_locations (image_id, store, url, metadata)"
            " SELECT image_id, 'archive', replace(url, '/main/', '/archive/'), metadata"
            " FROM image_locations WHERE image_id = ?",
            (image,),
        )

    def _as(
        self,
        relation: str,
        role: str,
        method: str,
        path: str,
        body: str = "",
        content_type: str = "application/json",
    ) -> Answer:
        request = Request(method, path, body.encode(), content_type)
        answer = self._call(self._projects[relation], role, request)
        assert answer.status < 300, (request, answer)
        return answer


@contextlib.contextmanager
def images(call: Call, projects: Mapping[str, str], database: Path) -> Iterator[Images]:
    made = Images(call, projects, database)
    try:
        yield made
    finally:
        made.close()
