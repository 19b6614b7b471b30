"""Audits that repair, and moves between stores, while users upload, read and delete."""

import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.care.running import stores
from tests.conftest import StartDaemon
from tests.hammer import calls

HAMMER_S = 20
KIB = 1024
OPTIONS = {
    "DEFAULT": {"enabled_backends": "near:file, far:file", "workers": 2},
    "glance_store": {"default_backend": "near"},
}


class Users:
    """What they do until ``stop`` is set; ``kept`` are images and their bytes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.stop = threading.Event()
        self.kept: dict[str, bytes] = {}
        self.done: Counter[str] = Counter()

    def live(self, seed: int) -> None:
        chance = random.Random(seed)
        mine: dict[str, bytes] = {}
        while not self.stop.is_set():
            what = chance.choice(("upload", "upload", "break", "delete", "read"))
            if what in ("delete", "read") and not mine:
                continue
            self.done[what] += 1
            if what == "upload":
                image, data = calls.create(self._url), os.urandom(400 * KIB)
                assert calls.put(self._url, image, data) == 204
                mine[image] = data
            elif what == "break":
                self._break_off(calls.create(self._url))
            elif what == "delete":
                image, _ = mine.popitem()
                answer = calls.call(self._url, "DELETE", image)
                # 409: a copy of it is being made just now.
                assert answer.status in (204, 409), answer
            else:
                image = chance.choice(list(mine))
                assert calls.download(self._url, image) == mine[image]
        self.kept |= mine

    def _break_off(self, image: str) -> None:
        upload = calls.Upload(self._url, image, 800 * KIB)
        upload.send(bytes(400 * KIB))
        upload.reset()


def findings(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["type"] == "finding"]


@pytest.mark.slow
def test_care_and_users_do_each_other_no_harm(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    folders = {name: tmp_path / name for name in ("near", "far")}
    sections = {
        name: {"filesystem_store_datadir": path} for name, path in folders.items()
    }
    daemon = start_daemon({**OPTIONS, **sections})
    users = Users(daemon.url)
    with ThreadPoolExecutor(4) as threads:
        living = [threads.submit(users.live, seed) for seed in range(4)]
        try:
            end = time.monotonic() + HAMMER_S
            while time.monotonic() < end:
                # Nothing is too young: only leases keep what is under way.
                audit = ("audit", "--repair", "--digest", "--min-age", "0", "--force")
                code, lines = stores(daemon, *audit)
                assert findings(lines) == []
                assert code == 0
                assert stores(daemon, "copy", "--to", "far", "--all")[0] == 0
                assert stores(daemon, "drain", "far", "--to", "near")[0] in (0, 3)
        finally:
            users.stop.set()
        for each in living:
            each.result()
    assert min(users.done[what] for what in ("upload", "break", "delete", "read")) > 5

    assert stores(daemon, "drain", "far", "--to", "near")[0] == 0
    _, lines = stores(daemon, "audit", "--digest", "--min-age", "0")
    assert findings(lines) == []
    for image, data in users.kept.items():
        assert calls.download(daemon.url, image) == data
