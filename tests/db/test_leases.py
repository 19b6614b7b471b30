import functools
import threading

from sqlalchemy import Connection, delete

from imageservice.db import tables, transitions
from imageservice.db.engine import Database
from imageservice.db.images import Images
from imageservice.db.leases import Beaten, Leases
from tests.db.factories import LATER, NOW, Bytes, an_image, at_once


def leased(images: Images, token: str, worker: str = "worker") -> str:
    image = images.insert(an_image())
    images.claim(image.id, "queued", "saving", token, worker, "fast", NOW)
    return image.id


def abandoned(images: Images, database: Database) -> str:
    """A doomed image whose lease has got lost."""
    image_id = leased(images, "upload")
    images.attach("upload", image_id, Bytes(), "fast", NOW)
    images.doom(image_id, "lost", "worker", NOW)
    lost = delete(tables.leases).where(tables.leases.c.image_id == image_id)
    database.write(lambda connection: connection.execute(lost) and None)
    return image_id


def test_a_beat_tells_which_leases_live_and_which_images_do_not(
    images: Images, leases: Leases
) -> None:
    wanted, doomed = leased(images, "a"), leased(images, "b")
    leased(images, "somebody's")
    images.doom(doomed, "d", "worker", LATER)

    held = leases.beat(["a", "b", "lost"])

    assert held == {"a": Beaten(wanted, False), "b": Beaten(doomed, True)}
    beats = {row.token: row.beat for row in leases.watch()}
    assert beats == {"a": 1, "b": 1, "somebody's": 0}
    assert leases.beat([]) == {}


def test_a_watcher_sees_what_it_needs(images: Images, leases: Leases) -> None:
    image_id = leased(images, "a", "somebody")

    assert leases.watch() == [
        (image_id, "a", "somebody", "fast", "upload", 0, "saving")
    ]
    assert leases.is_held(image_id, "a")
    assert not leases.is_held(image_id, "b")


def test_a_lease_is_not_renewed_while_its_upload_is_being_committed(
    images: Images, leases: Leases, database: Database
) -> None:
    image_id = leased(images, "a")
    attached, may_commit, renewed = (threading.Event() for _ in range(3))

    def attach(connection: Connection) -> None:
        transitions.attach(connection, "a", image_id, Bytes(), "fast", NOW)
        attached.set()
        assert may_commit.wait(10)

    def renew() -> bool:
        assert attached.wait(10)
        try:
            return leases.renew(image_id, "a")
        finally:
            renewed.set()

    def commit() -> bool:
        assert attached.wait(10)
        early = renewed.wait(0.2)
        may_commit.set()
        return early

    results = at_once(lambda: database.write(attach), renew, commit)

    assert results == [None, False, False]


def test_a_lease_is_renewed_by_its_owner_alone(images: Images, leases: Leases) -> None:
    image_id = leased(images, "a")

    assert leases.renew(image_id, "a")
    assert not leases.renew(image_id, "b")
    assert [row.beat for row in leases.watch()] == [1]


def test_a_lease_that_has_beaten_is_not_taken_over(
    images: Images, leases: Leases
) -> None:
    image_id = leased(images, "a")
    leases.beat(["a"])

    assert leases.take_over(image_id, "a", 0, "b", "other") is False
    assert leases.take_over(image_id, "a", 1, "b", "other") is True
    assert leases.take_over(image_id, "a", 1, "c", "third") is False
    assert leases.beat(["a"]) == {}


def test_of_racing_watchers_exactly_one_takes_a_lease_over(
    images: Images, leases: Leases
) -> None:
    image_id = leased(images, "a")

    results = at_once(
        *(
            functools.partial(leases.take_over, image_id, "a", 0, f"t{n}", "w")
            for n in range(5)
        )
    )

    assert results.count(True) == 1
    assert results.count(False) == 4


def test_of_racing_workers_exactly_one_adopts_a_doomed_image(
    images: Images, leases: Leases, database: Database
) -> None:
    image_id = abandoned(images, database)
    live = leased(images, "live")
    assert leases.unowned_doomed() == [image_id]

    results = at_once(
        *(
            functools.partial(leases.adopt, image_id, f"t{number}", "w")
            for number in range(5)
        )
    )

    assert results.count(True) == 1
    assert results.count(False) == 4
    assert leases.unowned_doomed() == []
    assert leases.adopt(live, "x", "w") is False
    assert leases.adopt("no-such", "x", "w") is False
