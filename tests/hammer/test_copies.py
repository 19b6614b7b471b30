"""Images with a copy in each of two stores: one of them breaks, or goes."""

import contextlib
import http.client
import os
import shutil
import sqlite3
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import people
from tests.conftest import StartDaemon
from tests.daemon import Daemon
from tests.hammer import calls

MIB = 1024 * 1024


class Copied(NamedTuple):
    """An image of which both folders have a file; the near one is read first."""

    daemon: Daemon
    image: str
    data: bytes
    near: Path
    far: Path


@pytest.fixture
def copied(start_daemon: StartDaemon, tmp_path: Path) -> Copied:
    folders = {name: tmp_path / name for name in ("near", "far")}
    for folder in folders.values():
        folder.mkdir()
    daemon = start_daemon(
        {
            "DEFAULT": {"enabled_backends": "near:file, far:file"},
            "glance_store": {"default_backend": "near"},
            "near": {"filesystem_store_datadir": folders["near"], "weight": 10},
            "far": {"filesystem_store_datadir": folders["far"]},
        }
    )
    image, data = calls.create(daemon.url), os.urandom(20 * MIB)
    assert calls.put(daemon.url, image, data) == 204
    near, far = (folder / calls.name(image) for folder in folders.values())
    shutil.copyfile(near, far)
    with sqlite3.connect(daemon.database.removeprefix("sqlite:///")) as rows:
        rows.execute(
            "INSERT INTO image_locations (image_id, store, url, metadata)"
            " SELECT image_id, 'far', replace(url, '/near/', '/far/'), metadata"
            " FROM image_locations"
        )
    rows.close()
    return Copied(daemon, image, data, near, far)


def test_a_file_that_ends_early_is_continued_from_the_other_copy(
    copied: Copied,
) -> None:
    os.truncate(copied.near, 7 * MIB + 1)

    assert calls.download(copied.daemon.url, copied.image) == copied.data

    os.truncate(copied.far, 7 * MIB + 1)
    file = f"{copied.image}/file"
    assert calls.call(copied.daemon.url, "GET", file).status == 503


def test_a_file_that_is_cut_while_it_is_sent_is_continued(copied: Copied) -> None:
    assert cut_while_sent(copied, copied.near) == copied.data


def test_the_last_copy_that_is_cut_breaks_the_download(copied: Copied) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        cut_while_sent(copied, copied.near, copied.far)


def cut_while_sent(copied: Copied, *files: Path) -> bytes:
    """Download the image; after the first MiB ``files`` lose their end."""
    connection = http.client.HTTPConnection(*calls.address(copied.daemon.url))
    owner = people.headers("owner", calls.PROJECTS)
    with contextlib.closing(connection):
        connection.request("GET", f"{copied.image}/file", headers=owner)
        answer = connection.getresponse()
        begin = answer.read(MIB)
        for file in files:
            os.truncate(file, 18 * MIB)  # more than the sockets hold
        return begin + answer.read()


def test_one_copy_is_removed_and_the_other_is_read(copied: Copied) -> None:
    path = f"/v2/stores/near/{calls.name(copied.image)}"

    answer = calls.call(copied.daemon.url, "DELETE", path, who="admin")

    assert answer.status == 204
    assert not copied.near.exists()
    assert calls.show(copied.daemon.url, copied.image)["stores"] == "far"
    assert calls.download(copied.daemon.url, copied.image) == copied.data
    path = f"/v2/stores/far/{calls.name(copied.image)}"
    assert calls.call(copied.daemon.url, "DELETE", path, who="admin").status == 403
    assert calls.call(copied.daemon.url, "DELETE", copied.image).status == 204
    assert not copied.far.exists()
