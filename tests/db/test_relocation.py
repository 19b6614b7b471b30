"""Stored locations are rewritten as stores write them today (contract operations.md §3.5)."""

import json
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from imageservice import errors
from imageservice.cmd import relocation
from imageservice.db.engine import Database
from imageservice.db.images import Images
from imageservice.db.leases import Leases
from imageservice.db.relocation import Locations, Move
from imageservice.db.tables import image_locations
from imageservice.stores.filesystem import File
from imageservice.stores.memory import Memory
from imageservice.stores.registry import Store, Stores
from imageservice.stores.testing import Threads
from tests.db.factories import ADMIN, NOW, Bytes, an_image


class Cloud(Memory):
    """A store whose locations held credentials once, as those of S3 and Swift did."""

    def canonical(self, url: str) -> str:
        if url.startswith("s3+https://"):
            return self._url(url.rpartition("/")[2])
        return super().canonical(url)


@pytest.fixture
def stores() -> Stores:
    folder = {"filesystem_store_datadir": "/srv/images"}
    drivers = {
        "disk": File.configured("disk", folder, Threads()),
        "cloud": Cloud("cloud", Threads()),
        "other": Memory("other", Threads()),
    }
    return Stores(
        [
            Store(name, driver, default=name == "disk")
            for name, driver in drivers.items()
        ],
        multi=True,
    )


def stored(database: Database, images: Images, *rows: tuple[str, str]) -> None:
    """An image with a location for each pair of store and URL."""
    image = images.insert(an_image())
    values: list[dict[str, Any]] = [
        {"image_id": image.id, "store": store, "url": url, "metadata": "{}"}
        for store, url in rows
    ]
    database.write(
        lambda connection: connection.execute(insert(image_locations), values) and None
    )


def found(database: Database) -> list[tuple[str, str]]:
    columns = image_locations.c
    rows = database.read(
        select(columns.store, columns.url).order_by(image_locations.c.id)
    )
    return [(store, url) for store, url in rows]


LEGACY = [
    ("cloud", "s3+https://AK:se/cret@s3.example/images/k1"),
    ("renamed", "filesystem:///srv/images/k2"),
    ("", "file:///srv/images//k3"),
    ("disk", "file:///srv/images/k4"),
]
TODAY = [
    ("cloud", "memory://cloud/k1"),
    ("disk", "file:///srv/images/k2"),
    ("disk", "file:///srv/images/k3"),
    ("disk", "file:///srv/images/k4"),
]


def test_legacy_rows_are_rewritten_once(
    database: Database, images: Images, stores: Stores, capsys: Any
) -> None:
    stored(database, images, *LEGACY)

    reports = []
    for dry_run in (True, False, False):
        code = relocation.run(
            database, stores, {}, dry_run=dry_run, as_json=True, batch=3
        )
        assert code == 0
        reports.append(json.loads(capsys.readouterr().out))
        assert found(database) == (LEGACY if dry_run else TODAY)

    assert [report["rewritten"] for report in reports] == [3, 3, 0]
    assert [report["examined"] for report in reports] == [4, 4, 4]
    assert reports[0]["dry_run"]


def test_what_nobody_knows_is_left_and_told_without_its_password(
    database: Database, images: Images, stores: Stores, capsys: Any
) -> None:
    rows = [
        ("gone", "swift+https://u:passw0rd@k.example/v3/images/k"),
        ("disk", "s3://AK:passw0rd@s3.example/images/k"),
    ]
    stored(database, images, *rows)

    assert relocation.run(database, stores, {}, dry_run=False, as_json=False) == 1

    printed = capsys.readouterr().out
    assert "2 locations, 0 rewritten, 2 left" in printed
    assert "swift+https://k.example/v3/images/k" in printed
    assert "passw0rd" not in printed
    assert found(database) == rows


class Modest(File):
    """Claims no folder, so that two may have the same."""

    def claims(self) -> list[str]:
        return []


def twins(*names: str) -> Stores:
    folder = {"filesystem_store_datadir": "/srv/images"}
    made = [Modest.configured(name, folder, Threads()) for name in names]
    return Stores(
        [Store(each.name, each, default=each.name == names[0]) for each in made],
        multi=True,
    )


def test_what_two_stores_know_is_left(
    database: Database, images: Images, capsys: Any
) -> None:
    stored(database, images, ("gone", "file:///srv/images/k"))

    stores = twins("one", "two")
    code = relocation.run(database, stores, {}, dry_run=False, as_json=True)

    assert code == 1
    assert found(database) == [("gone", "file:///srv/images/k")]


def test_what_two_stores_know_is_in_the_one_that_was_renamed(
    database: Database, images: Images
) -> None:
    stored(database, images, ("gone", "file:///srv/images/k"), ("gone", "s3://b/k"))
    stores = twins("one", "two")
    ids = relocation.renamed(["gone=two"], stores)

    assert relocation.run(database, stores, ids, dry_run=False, as_json=False) == 1

    assert found(database) == [("two", "file:///srv/images/k"), ("gone", "s3://b/k")]


def test_no_image_gets_two_locations_in_one_place(
    database: Database, images: Images, stores: Stores, capsys: Any
) -> None:
    mine = ("disk", "file:///srv/images/k")
    stored(database, images, mine, ("gone", "file:///srv/images/k"))
    twice = [("gone", "file:///srv/images/j"), ("", "filesystem:///srv/images/j")]
    stored(database, images, *twice)

    assert relocation.run(database, stores, {}, dry_run=False, as_json=False) == 1

    assert "4 locations, 1 rewritten, 2 left" in capsys.readouterr().out
    assert found(database) == [
        mine,
        ("gone", "file:///srv/images/k"),
        ("disk", "file:///srv/images/j"),
        twice[1],
    ]


def test_a_lease_without_a_store_is_of_none_that_was_renamed(
    database: Database, images: Images, leases: Leases
) -> None:
    image = images.insert(an_image())
    images.claim(image.id, "queued", "saving", "u", "worker", "one", NOW)
    images.attach("u", image.id, Bytes(size=60), "one", NOW)
    images.doom(image.id, "d", "worker", NOW)
    stores = twins("one", "two")

    relocation.run(database, stores, {"": "two"}, dry_run=False, as_json=True)

    assert [lease.store for lease in leases.watch()] == [""]


def test_unfinished_transfers_are_of_the_store_that_was_renamed(
    database: Database, images: Images, leases: Leases, capsys: Any
) -> None:
    image = images.insert(an_image())
    images.claim(image.id, "queued", "saving", "u", "worker", "gone", NOW)
    stores = twins("one", "two")

    def transfers(*pairs: str, dry_run: bool = False) -> Any:
        ids = relocation.renamed(pairs, stores)
        relocation.run(database, stores, ids, dry_run=dry_run, as_json=True)
        return json.loads(capsys.readouterr().out)["transfers"]

    assert transfers()["left"] == [{"image": image.id, "store": "gone"}]
    assert transfers("gone=two", dry_run=True) == {"rewritten": 1, "left": []}
    assert [lease.store for lease in leases.watch()] == ["gone"]
    assert transfers("gone=two") == {"rewritten": 1, "left": []}
    assert [lease.store for lease in leases.watch()] == ["two"]
    assert transfers() == {"rewritten": 0, "left": []}


@pytest.mark.parametrize(
    ("pair", "refusal"),
    [
        ("one=two", errors.BadRequest),
        ("gone=three", errors.StoreUnknown),
        ("gone", errors.StoreUnknown),
    ],
)
def test_only_a_store_that_is_gone_was_renamed_to_one_that_is_there(
    pair: str, refusal: type[errors.Error]
) -> None:
    with pytest.raises(refusal):
        relocation.renamed([pair], twins("one", "two"))


def test_a_row_that_changes_meanwhile_is_left_alone(
    database: Database, images: Images
) -> None:
    stored(database, images, ("gone", "file:///srv/images/k"))
    locations = Locations(database)
    (row,) = locations.after(0, 10)

    def change(connection: Connection) -> None:
        connection.execute(image_locations.update().values(store="new"))

    database.write(change)

    assert locations.move([Move(row, "disk", row.url)]).rewritten == 0
    assert found(database) == [("new", "file:///srv/images/k")]


def test_who_read_an_image_before_does_not_write_its_old_location_back(
    database: Database, images: Images
) -> None:
    stored(database, images, ("gone", "file:///srv/images/k"))
    locations = Locations(database)
    (row,) = locations.after(0, 10)
    before = images.show(row.image_id, ADMIN)
    assert before is not None

    locations.move([Move(row, "disk", row.url)])

    with pytest.raises(errors.ImageChanged):
        images.update(before, before._replace(name="new"), NOW)
