"""What dead workers leave is taken over and undone, without comparing clocks."""

import datetime
import uuid

import pytest

from imageservice import errors
from imageservice.context import Context
from imageservice.db import images as image_rows
from imageservice.db import leases as lease_rows
from imageservice.db import schema
from imageservice.db.engine import Database
from imageservice.db.usage import Usage
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.image import Image
from imageservice.domain.query import Viewer
from imageservice.services.images import Images
from imageservice.services.interfaces import Stored
from imageservice.services.leases import Leases
from imageservice.stores.memory import Memory
from imageservice.stores.registry import Store, Stores
from imageservice.tasks.housekeeping import (
    LOST_AFTER_S,
    WATCH_INTERVAL_S,
    Housekeeping,
)
from imageservice.wsgi import threads

ADMIN = Viewer("p", True)
NOW = datetime.datetime(2026, 1, 1)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Node:
    """One worker process: its leases, its services, its housekeeping."""

    def __init__(self, database: Database, stores: Stores, clock: Clock) -> None:
        self.rows = image_rows.Images(database)
        self.leases = Leases(lease_rows.Leases(database))
        self.images = Images(self.rows, self.leases)
        self.housekeeping = Housekeeping(
            self.rows, lease_rows.Leases(database), self.leases, stores, clock
        )
        self.clock = clock

    def live(self, seconds: float, *others: "Node") -> None:
        """Let time pass; this node watches, ``others`` only beat."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += WATCH_INTERVAL_S
            for node in (self, *others):
                node.leases.beat()
            self.housekeeping.look()
            self.housekeeping.clean_up()


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/rows.sqlite")
    schema.sync(database)
    yield database
    counters = Usage(database)
    for project in counters.projects():
        before, after = counters.recount(project)
        assert before == after, project
    database.close()


@pytest.fixture
def store():
    return Memory("shelf", threads.Workers())


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def nodes(database, store, clock):
    stores = Stores([Store("shelf", store, default=True)], multi=True)
    return [Node(database, stores, clock) for _ in range(2)]


@pytest.fixture
def ctx():
    return Context(project_id="p", roles=("admin",), is_admin=True)


@pytest.fixture
def image(nodes, ctx):
    fields = dict.fromkeys(Image._fields)
    fields.update(
        id=str(uuid.uuid4()), status="queued", visibility="shared", protected=False,
        os_hidden=False, owner="p", disk_format="raw", container_format="bare",
        min_disk=0, min_ram=0, created_at=NOW, updated_at=NOW, version=0,
        properties={}, tags=(), locations=(),
    )  # fmt: skip
    return nodes[0].images.create(ctx, Image(**fields), UNLIMITED)


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, size: int = -1, /) -> bytes:
        block, self.data = self.data, b""
        return block


def stored(written) -> Stored:
    return Stored(written.url, {}, written.size, None, "md5", "sha512", "digest")


def status(node: Node, image: Image) -> str | None:
    found = node.rows.show(image.id, ADMIN)
    return found and found.status


def test_an_upload_whose_worker_died_is_queued_again_and_leaves_no_bytes(
    nodes, image, ctx, store
):
    dead, alive = nodes
    dead.images.claim(ctx, image, "shelf", None, UNLIMITED)
    store.write(image.id, Bytes(b"x" * 10), None)

    alive.live(2 * LOST_AFTER_S)

    assert status(alive, image) == "queued"
    assert store.held() == []
    lease = alive.images.claim(ctx, image, "shelf", None, UNLIMITED)
    alive.images.attach(ctx, lease, stored(store.write(image.id, Bytes(b"y"), 1)))
    assert status(alive, image) == "active"


def test_it_takes_less_than_30_seconds(nodes, image, ctx):
    dead, alive = nodes
    dead.images.claim(ctx, image, "shelf", None, UNLIMITED)

    alive.live(30 - 2 * WATCH_INTERVAL_S)

    assert status(alive, image) == "queued"


def test_an_upload_that_still_beats_is_left_alone(nodes, image, ctx):
    slow, watcher = nodes
    lease = slow.images.claim(ctx, image, "shelf", None, UNLIMITED)

    watcher.live(4 * LOST_AFTER_S, slow)

    assert status(watcher, image) == "saving"
    slow.images.holds(lease)


def test_a_worker_that_was_stopped_learns_that_it_lost(nodes, image, ctx, store):
    stopped, watcher = nodes
    lease = stopped.images.claim(ctx, image, "shelf", None, UNLIMITED)
    watcher.live(2 * LOST_AFTER_S)

    stopped.leases.beat()

    with pytest.raises(errors.LeaseLost):
        stopped.images.holds(lease)
    with pytest.raises(errors.LeaseLost):
        stopped.images.attach(ctx, lease, stored(store.write(image.id, Bytes(b"z"), 1)))


def test_a_watcher_that_could_not_look_starts_counting_anew(nodes, image, ctx, clock):
    other, watcher = nodes
    other.images.claim(ctx, image, "shelf", None, UNLIMITED)
    watcher.housekeeping.look()
    watcher.housekeeping.clean_up()

    clock.now += 10 * LOST_AFTER_S  # the database was away for both of them
    watcher.housekeeping.look()
    watcher.housekeeping.clean_up()

    assert status(watcher, image) == "saving"


def test_a_deletion_that_was_cut_off_is_finished(nodes, image, ctx, store):
    dead, alive = nodes
    lease = dead.images.claim(ctx, image, "shelf", None, UNLIMITED)
    dead.images.attach(ctx, lease, stored(store.write(image.id, Bytes(b"y"), 1)))
    dead.images.doom(ctx, image)
    assert status(alive, image) is None

    alive.live(2 * LOST_AFTER_S)

    assert store.held() == []
    with pytest.raises(errors.ImageIdTaken):
        alive.images.create(ctx, image, UNLIMITED)


def test_a_deletion_during_an_upload_stops_it_at_the_next_beat(nodes, image, ctx):
    uploading, deleting = nodes
    lease = uploading.images.claim(ctx, image, "shelf", None, UNLIMITED)

    assert deleting.images.doom(ctx, image) is None
    uploading.leases.beat()

    with pytest.raises(errors.ImageGone):
        uploading.images.holds(lease)
    uploading.images.release(lease)
    assert uploading.rows.locations(image.id) == ()
    with pytest.raises(errors.ImageIdTaken):
        uploading.images.create(ctx, image, UNLIMITED)


def test_what_a_worker_abandoned_is_settled_at_its_own_next_round(
    nodes, image, ctx, store
):
    node, _ = nodes
    lease = node.images.claim(ctx, image, "shelf", None, UNLIMITED)
    store.write(image.id, Bytes(b"x"), 1)
    node.images.abandon(lease)

    node.housekeeping.look()
    node.housekeeping.clean_up()

    assert status(node, image) == "queued"
    assert store.held() == []


def test_an_abandoned_upload_that_had_been_committed_keeps_its_bytes(
    nodes, image, ctx, store
):
    node, _ = nodes
    lease = node.images.claim(ctx, image, "shelf", None, UNLIMITED)
    node.rows.attach(
        lease.token,
        image.id,
        stored(store.write(image.id, Bytes(b"x"), 1)),
        "shelf",
        NOW,
    )
    node.images.abandon(lease)  # the answer to the commit got lost

    node.housekeeping.look()
    node.housekeeping.clean_up()

    assert status(node, image) == "active"
    assert store.held() == [image.id]


def test_a_store_that_does_not_answer_is_tried_again(nodes, image, ctx, store):
    dead, alive = nodes
    dead.images.claim(ctx, image, "elsewhere", None, UNLIMITED)

    alive.live(2 * LOST_AFTER_S)  # "elsewhere" is not configured

    assert status(alive, image) == "saving"
    assert [lease.image_id for lease in alive.leases.abandoned()] == [image.id]


class Broken(Memory):
    """A store whose driver has a bug."""

    def discard(self, key: str) -> None:
        raise RuntimeError("nobody has thought of this one")


def test_one_image_that_cannot_be_cleaned_up_does_not_keep_the_others(
    database, store, clock, image, ctx
):
    broken = Broken("broken", threads.Workers())
    stores = Stores(
        [Store("shelf", store, default=True), Store("broken", broken)], multi=True
    )
    dead, alive = (Node(database, stores, clock) for _ in range(2))
    other = dead.images.create(ctx, image._replace(id=str(uuid.uuid4())), UNLIMITED)
    dead.images.claim(ctx, image, "broken", None, UNLIMITED)
    dead.images.claim(ctx, other, "shelf", None, UNLIMITED)

    alive.live(2 * LOST_AFTER_S)

    assert status(alive, image) == "saving"
    assert status(alive, other) == "queued"
