"""Does a page cost more because there are more images?

Fills two databases, with few and with many images, and times pages of 25 of each:
``python benchmarks/listing.py URL_OF_FEW URL_OF_MANY [--explain TEXT]``. Both must exist
and be empty (SQLite makes its own files); the kind of database is as the URLs say. A
database that this script filled before is used as it is.
"""

import argparse
import collections
import datetime
import random
import statistics
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

from sqlalchemy import event, func, insert, select, text

from imageservice.db import conditions, engine, listing, schema, tables
from imageservice.db.images import Images
from imageservice.domain.query import Condition, Query, Sort, Viewer

PROJECTS = [f"project-{number:03}" for number in range(200)]
MEMBER = Viewer(PROJECTS[7], is_admin=False)
ADMIN = Viewer(PROJECTS[7], is_admin=True)
LIMIT = 25
ROUNDS = 60
#: A page of many images may cost this many times what one of few costs.
LIMIT_RATIO = 1.5
START = datetime.datetime(2024, 1, 1)

NAME = (Sort("name", False), Sort("created_at", False), Sort("id", False))
SIZE = (Sort("size", True), Sort("created_at", True), Sort("id", True))

#: What is asked for, besides the page.
QUESTIONS: dict[str, dict[str, Any]] = {
    "any": {},
    "property": {"properties": (("os_distro", "debian"),)},
    "two properties": {"properties": (("os_distro", "debian"), ("arch", "x86_64"))},
    "rare property": {"properties": (("release", "42"),)},
    "unique property": {"properties": (("build", "77"),)},
    "tag": {"tags": ("lts",)},
    "rare tag": {"tags": ("golden",)},
    "status": {"conditions": (Condition("status", "eq", "queued"),)},
    "by name": {"sort": NAME},
    "by size": {"sort": SIZE},
    "one name": {"conditions": (Condition("name", "eq", "image 77"),)},
}


def fill(database: engine.Database, count: int) -> None:
    """Record ``count`` images with properties, tags and members, the same each time."""
    dice = random.Random(count)
    rows: dict[Any, list[dict[str, Any]]] = collections.defaultdict(list)
    shared = []
    for number in range(count):
        image = _image(dice)
        image_id = image["id"]
        rows[tables.images].append(image)
        if image["visibility"] == "shared":
            shared.append(image_id)
        properties = {
            "os_distro": dice.choice(["debian", "ubuntu", "fedora", "alma"]),
            "os_version": str(dice.randrange(50)),
            "arch": dice.choice(["x86_64", "aarch64"]),
            "release": str(dice.randrange(200)),
            "build": str(number),
        }
        mine = {"image_id": image_id, "created_at": image["created_at"]}
        rows[tables.image_properties] += [
            {"name": name, "value": value, **mine} for name, value in properties.items()
        ]
        tags = {dice.choice(["lts", "edge", "beta"]), f"team-{dice.randrange(40)}"}
        if dice.random() < 0.01:
            tags.add("golden")
        rows[tables.image_tags] += [{"value": tag, **mine} for tag in tags]
    # Projects do not take part in more sharing because the cloud is larger.
    for project in PROJECTS:
        for image_id in dice.sample(shared, 10):
            rows[tables.image_members].append(
                {
                    "image_id": image_id,
                    "member_id": project,
                    "status": dice.choice(["accepted", "accepted", "pending"]),
                    "created_at": START,
                    "updated_at": START,
                }
            )
    with database.exclusive() as connection:
        for table, values in rows.items():
            for start in range(0, len(values), 5000):
                connection.execute(insert(table), values[start : start + 5000])
        connection.commit()
    with database.exclusive() as connection:
        for statement in _analyses(database.dialect):
            connection.execute(text(statement))
        connection.commit()


def _analyses(dialect: str) -> list[str]:
    if dialect != "mysql":
        return ["ANALYZE"]
    return [f"ANALYZE TABLE {name}" for name in tables.metadata.tables]


def _image(dice: random.Random) -> dict[str, Any]:
    kinds = ["public", "community", "shared", "private"]
    created_at = START + datetime.timedelta(seconds=dice.randrange(365 * 86400))
    return {
        "id": str(uuid.UUID(int=dice.getrandbits(128), version=4)),
        "name": f"image {dice.randrange(1000)}" if dice.random() < 0.9 else None,
        "status": "queued" if dice.random() < 0.1 else "active",
        "visibility": dice.choices(kinds, [15, 5, 30, 50])[0],
        "protected": False,
        "os_hidden": dice.random() < 0.02,
        "owner": dice.choice(PROJECTS),
        "size": dice.randrange(2**34) if dice.random() < 0.9 else None,
        "disk_format": dice.choice(["qcow2", "raw", None]),
        "container_format": "bare",
        "min_disk": 0,
        "min_ram": 0,
        "created_at": created_at,
        "updated_at": created_at,
        "version": 1,
    }


def queries(images: Images) -> Iterator[tuple[str, Query]]:
    """The pages that are timed, by name."""
    for who, viewer in (("admin", ADMIN), ("member", MEMBER)):
        for what, question in QUESTIONS.items():
            first = Query(limit=LIMIT, viewer=viewer, **question)
            yield f"{who}, {what}, first", first
            if what in ("any", "by name", "by size"):
                marker = _middle(images, first)
                yield f"{who}, {what}, middle", _after(first, marker)


def _after(query: Query, marker: str) -> Query:
    return Query(limit=query.limit, viewer=query.viewer, sort=query.sort, marker=marker)


def _middle(images: Images, query: Query) -> str:
    """The image half-way down a list: walked to, in pages of 1000."""
    ids: list[str] = []
    while True:
        page = images.list(
            Query(
                limit=1000,
                viewer=query.viewer,
                sort=query.sort,
                marker=ids[-1] if ids else None,
            )
        )
        ids += [image.id for image in page.images]
        if not page.is_full:
            return ids[len(ids) // 2]


def timed(images: Images, query: Query) -> tuple[float, int]:
    """The median of the faster half, in ms, and the number of images on the page."""
    spent = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        page = images.list(query)
        spent.append((time.perf_counter() - start) * 1e3)
    spent.sort()
    return statistics.median(spent[: ROUNDS // 2]), len(page.images)


def explain(database: engine.Database, query: Query) -> str:
    """The database's plan of a page without marker."""
    shape = listing.shape(query, listing.sorts(query), database.dialect)
    how = {
        "postgresql": "EXPLAIN (ANALYZE, BUFFERS)",
        "sqlite": "EXPLAIN QUERY PLAN",
        "mysql": "ANALYZE",
    }
    with database.exclusive() as connection:

        @event.listens_for(connection, "before_cursor_execute", retval=True)
        def ask(_c: Any, _k: Any, sql: str, values: Any, *_: Any) -> tuple[str, Any]:
            return f"{how[database.dialect]} {sql}", values

        raw = connection.execute(listing.statement(shape), conditions.values(query))
        return "\n".join(" ".join(map(str, row)) for row in raw.cursor.fetchall())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("few")
    parser.add_argument("many")
    parser.add_argument("--explain", metavar="TEXT", help="plans of pages so named")
    arguments = parser.parse_args()
    databases = []
    for url, count in ((arguments.few, 1_000), (arguments.many, 100_000)):
        database = engine.Database(url)
        schema.sync(database)
        if database.read(select(func.count()).select_from(tables.images))[0][0] == 0:
            print(f"filling {count} images", file=sys.stderr)
            fill(database, count)
        databases.append(database)
    few, many = (dict(queries(Images(database))) for database in databases)
    worst = 0.0
    print(f"{'page':<34}{'1,000':>10}{'100,000':>10}{'ratio':>8}{'images':>12}")
    for name in few:
        if arguments.explain and arguments.explain not in name:
            continue
        small, made = timed(Images(databases[0]), few[name])
        large, made_of_many = timed(Images(databases[1]), many[name])
        if made == made_of_many:
            worst = max(worst, large / small)
        print(
            f"{name:<34}{small:>8.2f}ms{large:>8.2f}ms{large / small:>8.2f}"
            f"{made:>7}/{made_of_many}"
        )
        if arguments.explain:
            print(explain(databases[1], many[name]))
    print(f"worst ratio of pages equally full {worst:.2f}")
    return 1 if worst > LIMIT_RATIO else 0


if __name__ == "__main__":
    sys.exit(main())
