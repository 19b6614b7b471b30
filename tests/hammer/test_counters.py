"""Whatever is killed, cut off or lost on the way: counters say what there is."""

import contextlib
import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy
from sqlalchemy import select

from imageservice.db.engine import Database
from imageservice.db.leases import Leases
from imageservice.db.tables import image_locations
from imageservice.db.usage import Usage
from tests import databases, people
from tests.daemon import Daemon
from tests.hammer import calls, lossy, processes
from tests.hammer.calls import Upload
from tests.hammer.lossy import Lossy

STORM_S = 10
RECOVERY_S = 60
USERS = 6
LOST = 0.01  # of the answers of the database
BLOCK = b"0123456789abcdef" * 65536  # 1 MiB
OWNERS = (calls.PROJECTS["owner"], calls.PROJECTS["partner"], None)
ADMIN = people.headers("admin", calls.PROJECTS)


class Place(NamedTuple):
    """A daemon, and the way to its database; SQLite is no distance away."""

    daemon: Daemon
    way: Lossy | None

    def lose(self, odds: float) -> None:
        if self.way is not None:
            self.way.odds = odds


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    images = tmp_path / "images"
    images.mkdir()
    with contextlib.ExitStack() as held:
        url = held.enter_context(databases.ready(request.param, tmp_path))
        connection, way = sqlalchemy.make_url(url), None
        if connection.host:
            target = (connection.host, connection.port or 0)
            way = held.enter_context(lossy.between(target, random.Random(1)))
            connection = connection.set(host="127.0.0.1", port=way.port)
        text = connection.render_as_string(hide_password=False)
        options = {
            "DEFAULT": {
                "enabled_backends": "main:file",
                "user_storage_quota": "20MB",
                "workers": 3,
            },
            "glance_store": {"default_backend": "main"},
            "main": {"filesystem_store_datadir": images},
            "database": {"connection": text},
        }
        daemon = Daemon(tmp_path / "daemon", options)
        daemon.images, daemon.database = images, url
        yield Place(held.enter_context(daemon), way)


class User:
    """Does at random what users and admins do, and does not wait for good answers."""

    def __init__(self, daemon: Daemon, seed: int) -> None:
        self._url = daemon.url
        self._chance = random.Random(seed)
        self._images: list[str] = []
        self.answers: Counter[str] = Counter()

    def run(self, until: float) -> None:
        doings: list[Callable[[], int]] = [
            self.create, self.create, self.upload, self.upload, self.upload, self.break_off,
            self.delete, self.delete, self.delete_under_way, self.give_away, self.switch,
        ]  # fmt: skip
        while time.monotonic() < until:
            doing = self._chance.choice(doings)
            try:
                status = doing()
            except (OSError, http.client.HTTPException):
                status = 0  # the worker is gone
            self.answers[f"{doing.__name__} {status}"] += 1

    def create(self) -> int:
        name = "".join(self._chance.choices("0123456789abcdef", k=12))
        image = f"00000000-0000-4000-8000-{name}"
        body = {"id": image, "disk_format": "raw", "container_format": "bare"}
        self._images = [*self._images[-3:], f"/v2/images/{image}"]
        return calls.call(self._url, "POST", "/v2/images", body).status

    def upload(self) -> int:
        sending, blocks = self._begun()
        for _ in range(blocks - 1):
            sending.send(BLOCK)
        return sending.end()

    def break_off(self) -> int:
        self._begun()[0].reset()
        return 0

    def delete(self) -> int:
        return calls.call(self._url, "DELETE", self._any(), who="admin").status

    def delete_under_way(self) -> int:
        sending, _ = self._begun()
        status = self.delete()
        sending.close()
        return status

    def give_away(self) -> int:
        owner = self._chance.choice(OWNERS)
        change = [{"op": "replace", "path": "/owner", "value": owner}]
        return calls.call(self._url, "PATCH", self._any(), change, who="admin").status

    def switch(self) -> int:
        action = self._chance.choice(("deactivate", "reactivate"))
        path = f"{self._any()}/actions/{action}"
        return calls.call(self._url, "POST", path, b"", who="admin").status

    def _begun(self) -> tuple[Upload, int]:
        """An upload with its first block sent, and how many blocks it is to have."""
        blocks = self._chance.choice((1, 1, 2, 8))
        size = self._chance.choice((None, blocks * len(BLOCK)))
        sending = Upload(self._url, self._any(), size, ADMIN)
        sending.send(BLOCK)
        return sending, blocks

    def _any(self) -> str:
        return self._chance.choice(self._images or ["/v2/images/none"])


def make_trouble(place: Place, until: float) -> None:
    """Kill workers and whole daemons, and lose answers of the database."""
    chance = random.Random(2)
    while time.monotonic() < until:
        place.lose(LOST)
        time.sleep(chance.uniform(0.5, 2))
        # The daemon waits before it replaces a worker that has not lived for long.
        workers = processes.children(place.daemon.pid)
        if workers and chance.random() < 0.5:
            with contextlib.suppress(ProcessLookupError):
                processes.kill(chance.choice(workers))
        else:
            place.daemon.kill()
            place.lose(0)  # a start ends when the database does not answer
            place.daemon.start()
    place.lose(0)
    assert place.way is None or place.way.lost


@pytest.mark.slow
def test_counters_say_what_there_is_after_kills_and_lost_answers(place: Place) -> None:
    until = time.monotonic() + STORM_S
    users = [User(place.daemon, seed) for seed in range(USERS)]
    threads = [threading.Thread(target=user.run, args=(until,)) for user in users]
    for thread in threads:
        thread.start()
    make_trouble(place, until)
    for thread in threads:
        thread.join(RECOVERY_S)
        assert not thread.is_alive()

    answers: Counter[str] = sum((user.answers for user in users), Counter())
    database = Database(place.daemon.database)
    try:
        leases, usage = Leases(database), Usage(database)
        is_over = lambda: not leases.watch() and not leases.unowned_doomed()  # noqa: E731
        calls.until(is_over, RECOVERY_S, "something is left")
        for project in usage.projects():
            before, after = usage.recount(project)
            assert before == after, (project, answers)
            assert (after.uploading, after.reserved) == (0, 0)
        rows = database.read(select(image_locations.c.image_id))
        assert calls.stored(place.daemon.images) == {row.image_id for row in rows}
        assert {"create 201", "upload 204", "delete 204"} <= set(answers), answers
    finally:
        database.close()
