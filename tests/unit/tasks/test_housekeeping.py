"""What dead workers leave is taken over and undone, without comparing clocks."""

import datetime
import threading
import uuid

import pytest

from imageservice import errors
from imageservice.context import Context
from imageservice.db import images as image_rows
from imageservice.db import leases as lease_rows
from imageservice.db.copies import Copies
from imageservice.db.engine import Database
from imageservice.db.inventory import Inventory
from imageservice.db.locations import Claimant, Locations
from imageservice.db.registrations import Registrations
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.image import Image, Location
from imageservice.domain.lease import VERIFY
from imageservice.domain.proposals import Proposal
from imageservice.domain.query import Viewer
from imageservice.services.images import Images
from imageservice.services.interfaces import Lease, Stored
from imageservice.services.leases import Leases
from imageservice.stores.memory import Memory
from imageservice.stores.registry import Store, Stores
from imageservice.tasks.housekeeping import (
    LOST_AFTER_S,
    WATCH_INTERVAL_S,
    Housekeeping,
)
from imageservice.wsgi import threads
from tests.db.factories import an_image

ADMIN = Viewer("p", True)
NOW = datetime.datetime(2026, 1, 1)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Node:
    """One worker process: its leases, its services, its housekeeping."""

    def __init__(
        self, database: Database, stores: Stores, clock: Clock, *, verifies: bool = True
    ) -> None:
        self.rows = image_rows.Images(database)
        self.verified: list[Lease] = []
        self.leases = Leases(lease_rows.Leases(database))
        copies = Copies(database)
        self.images = Images(self.rows, copies, Locations(database), self.leases)
        self.housekeeping = Housekeeping(
            self.rows,
            copies,
            Inventory(database),
            lease_rows.Leases(database),
            self.leases,
            stores,
            self.verified.append if verifies else None,
            clock,
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
    return nodes[0].images.create(ctx, an_image(owner="p"), UNLIMITED)


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


def test_registered_locations_are_left_to_those_who_look_at_them(
    database, nodes, image, store, clock
):
    dead, daemon = nodes
    claimant = Claimant("token", dead.leases.worker, VERIFY)
    proposal = Proposal("memory://shelf/x", {}, store="shelf")
    Registrations(database).claim(image.id, proposal, claimant, NOW)
    stores = Stores([Store("shelf", store, default=True)], multi=True)
    tool = Node(database, stores, clock, verifies=False)

    tool.live(2 * LOST_AFTER_S)
    assert tool.leases.abandoned() == []

    daemon.live(2 * LOST_AFTER_S)
    assert [each.image_id for each in daemon.verified] == [image.id]


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
    assert uploading.rows.remains(image.id).locations == ()
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
    dead.images.claim(ctx, image, "shelf", None, UNLIMITED)
    discard = store.discard

    def fail(key):
        raise errors.StoreUnavailable(store="shelf", reason="it is off")

    store.discard = fail
    alive.live(2 * LOST_AFTER_S)
    assert status(alive, image) == "saving"
    store.discard = discard
    alive.live(WATCH_INTERVAL_S)

    assert status(alive, image) == "queued"


def test_an_upload_into_a_store_of_another_name_is_undone_once_that_is_said(
    nodes, image, ctx, store, database
):
    dead, alive = nodes
    dead.images.claim(ctx, image, "renamed", 5, UNLIMITED)
    store.write(image.id, Bytes(b"half"), None)
    alive.live(2 * LOST_AFTER_S)
    assert status(alive, image) == "saving"

    lease_rows.Leases(database).move("renamed", "shelf")
    alive.live(3 * LOST_AFTER_S)

    assert status(alive, image) == "queued"
    assert store.held() == []


def test_what_is_in_a_store_that_only_another_worker_knows_is_left_to_it(
    database, clock, nodes, image, ctx, store
):
    cellar = Store("cellar", Memory("cellar", threads.Workers()), default=True)
    old, new = Node(database, Stores([cellar], multi=True), clock), nodes[0]
    old.images.abandon(old.images.claim(ctx, image, "shelf", None, UNLIMITED))

    for _ in range(int(2 * LOST_AFTER_S / WATCH_INTERVAL_S)):
        old.live(WATCH_INTERVAL_S)
        new.live(WATCH_INTERVAL_S)

    assert status(new, image) == "queued"


def active(node: Node, image: Image, ctx: Context, store: Memory) -> Image:
    """An image with bytes in a store that is not the shelf's, and is not asked."""
    lease = node.images.claim(ctx, image, "elsewhere", None, UNLIMITED)
    node.images.attach(ctx, lease, stored(store.write("elsewhere", Bytes(b"y"), 1)))
    return node.images.find(ctx, image.id)


def test_a_copy_whose_worker_died_leaves_the_image_as_it_was(nodes, image, ctx, store):
    dead, alive = nodes
    before = active(dead, image, ctx, store)
    dead.images.claim_copy(ctx, before, "shelf", UNLIMITED)
    store.write(image.id, Bytes(b"half"), None)

    alive.live(2 * LOST_AFTER_S)

    assert alive.images.find(ctx, image.id) == before
    assert store.held() == ["elsewhere"]
    assert alive.images.claim_copy(ctx, before, "shelf", UNLIMITED)


def test_what_lies_where_a_dead_worker_was_writing_stays_if_a_row_names_it(
    nodes, image, ctx, store
):
    dead, alive = nodes
    before = active(dead, image, ctx, store)
    other = dead.images.create(ctx, image._replace(id=str(uuid.uuid4())), UNLIMITED)
    lease = dead.images.claim(ctx, other, "renamed since", None, UNLIMITED)
    written = store.write(image.id, Bytes(b"other"), None)
    dead.images.attach(ctx, lease, stored(written))
    dead.images.claim_copy(ctx, before, "shelf", UNLIMITED)

    alive.live(2 * LOST_AFTER_S)

    assert store.held() == ["elsewhere", image.id]
    assert alive.images.claim_copy(ctx, before, "shelf", UNLIMITED)


def test_what_a_worker_wrote_again_goes_though_its_row_stays(nodes, image, ctx, store):
    dead, alive = nodes
    before = active(dead, image, ctx, store)
    lease = dead.images.claim_copy(ctx, before, "shelf", UNLIMITED)
    copy = Location("shelf", store.write(image.id, Bytes(b"y"), 1).url, {})
    dead.images.attach_copy(lease, copy)
    both = dead.images.find(ctx, image.id)
    dead.images.claim_anew(ctx, both, copy)

    alive.live(2 * LOST_AFTER_S)

    assert store.held() == ["elsewhere"]
    assert alive.images.find(ctx, image.id) == both


def test_the_removal_of_a_copy_that_was_cut_off_is_finished(nodes, image, ctx, store):
    dead, alive = nodes
    before = active(dead, image, ctx, store)
    lease = dead.images.claim_copy(ctx, before, "shelf", UNLIMITED)
    written = store.write(image.id, Bytes(b"y"), 1)
    dead.images.attach_copy(lease, Location("shelf", written.url, {}))
    both = dead.images.find(ctx, image.id)
    dead.images.doom_copy(ctx, both, both.locations[1])

    alive.live(2 * LOST_AFTER_S)

    assert alive.images.find(ctx, image.id).locations == before.locations
    assert store.held() == ["elsewhere"]
    assert alive.leases.abandoned() == []


def test_an_image_deleted_while_a_copy_goes_leaves_no_copy(
    nodes, image, ctx, store, database, clock
):
    dead, alive = nodes
    lease = dead.images.claim(ctx, image, "shelf", None, UNLIMITED)
    dead.images.attach(ctx, lease, stored(store.write("first", Bytes(b"y"), 1)))
    before = dead.images.find(ctx, image.id)
    dead.rows.set_status(image.id, "active", "deactivated", NOW)
    lease = dead.images.claim_copy(ctx, before, "other", UNLIMITED)
    other = store.write("second", Bytes(b"y"), 1)
    dead.images.attach_copy(lease, Location("shelf", other.url, {}))
    both = dead.images.find(ctx, image.id)
    dead.images.doom_copy(ctx, both, both.locations[1])
    assert alive.images.doom(ctx, both) is None

    alive.live(2 * LOST_AFTER_S)

    assert store.held() == []
    assert status(alive, image) is None
    with pytest.raises(errors.ImageIdTaken):
        alive.images.create(ctx, image, UNLIMITED)


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


def test_a_store_that_hangs_is_asked_once_a_round(nodes, image, ctx, store):
    node = nodes[0]
    other = node.images.create(ctx, image._replace(id=str(uuid.uuid4())), UNLIMITED)
    for one in (image, other):
        lease = node.images.claim(ctx, one, "shelf", None, UNLIMITED)
        node.images.abandon(lease)
    discard, asked = store.discard, []

    def hang(key):
        asked.append(key)
        raise errors.NoAnswer(store="shelf", reason="it hangs")

    store.discard = hang
    node.housekeeping.clean_up()
    assert len(asked) == 1
    store.discard = discard
    node.housekeeping.clean_up()

    assert [status(node, one) for one in (image, other)] == ["queued", "queued"]


def test_one_that_always_hangs_does_not_keep_those_of_its_store_waiting(
    nodes, image, ctx, store
):
    node = nodes[0]
    other = node.images.create(ctx, image._replace(id=str(uuid.uuid4())), UNLIMITED)
    for one in (image, other):
        lease = node.images.claim(ctx, one, "shelf", None, UNLIMITED)
        node.images.abandon(lease)
    discard = store.discard

    def hang(key):
        if key == image.id:
            raise errors.RemainsLeft(store="shelf", reason="it hangs")
        discard(key)

    store.discard = hang
    for _ in range(2):
        node.housekeeping.clean_up()

    assert [status(node, one) for one in (image, other)] == ["saving", "queued"]


class Once:
    """Ends a job after its first round."""

    def __init__(self) -> None:
        self.is_set = False

    def wait(self, timeout: float) -> bool:
        was_set, self.is_set = self.is_set, True
        return was_set


class Slow(Memory):
    """A store in which something is removed until it is told that it is done."""

    def __init__(self, name: str) -> None:
        super().__init__(name, threads.Workers())
        self.is_asked, self.is_done = threading.Event(), threading.Event()

    def discard(self, key: str) -> None:
        self.is_asked.set()
        self.is_done.wait(60)


def test_a_store_that_takes_long_keeps_no_other_waiting(
    database, clock, store, image, ctx
):
    slow = Slow("slow")
    stores = Stores(
        [Store("slow", slow, default=True), Store("shelf", store)], multi=True
    )
    node = Node(database, stores, clock)
    other = node.images.create(ctx, image._replace(id=str(uuid.uuid4())), UNLIMITED)
    node.images.abandon(node.images.claim(ctx, image, "slow", None, UNLIMITED))

    *_, first, second = node.housekeeping.jobs
    busy = threading.Thread(target=first, args=(Once(),))
    busy.start()
    assert slow.is_asked.wait(60)
    node.images.abandon(node.images.claim(ctx, other, "shelf", None, UNLIMITED))
    second(Once())

    assert status(node, other) == "queued"
    slow.is_done.set()
    busy.join()
    assert status(node, image) == "queued"


class Closed(Memory):
    """A store for which this process has the wrong keys."""

    def discard(self, key: str) -> None:
        raise errors.StoreDenied(store=self.name, reason="the keys are wrong")


def test_what_a_store_refuses_to_a_worker_with_old_keys_is_done_by_a_newer_one(
    database, clock, nodes, image, ctx
):
    closed = Store("shelf", Closed("shelf", threads.Workers()), default=True)
    old, new = Node(database, Stores([closed], multi=True), clock), nodes[0]
    old.images.abandon(old.images.claim(ctx, image, "shelf", None, UNLIMITED))

    for _ in range(int(LOST_AFTER_S / WATCH_INTERVAL_S)):
        old.live(WATCH_INTERVAL_S)
        new.live(WATCH_INTERVAL_S)

    assert status(new, image) == "queued"
