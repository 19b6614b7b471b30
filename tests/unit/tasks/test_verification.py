"""Registered bytes are looked at, whatever stores, processes and other requests do."""

import datetime
import hashlib
import threading
import time

import pytest

from imageservice import errors
from imageservice.context import Context
from imageservice.db import images as image_rows
from imageservice.db import leases as lease_rows
from imageservice.db.copies import Copies
from imageservice.db.inventory import Inventory
from imageservice.db.locations import Locations as LocationRows
from imageservice.db.registrations import Measured, Registrations
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.changes import Change
from imageservice.domain.lease import REMOVE, VERIFY
from imageservice.domain.proposals import Digests, Proposal
from imageservice.domain.query import Viewer
from imageservice.services.images import Images
from imageservice.services.leases import Leases
from imageservice.services.locations import Locations
from imageservice.stores.driver import BLOCK
from imageservice.stores.memory import Memory
from imageservice.stores.registry import Store, Stores
from imageservice.tasks.contents import Contents
from imageservice.tasks.housekeeping import LOST_AFTER_S, Housekeeping
from imageservice.tasks.looks import Looks, Plan, Rows
from imageservice.tasks.verification import ASKERS, Verification
from imageservice.wsgi import threads
from tests.db import factories

DATA = b"0123456789"
PATIENCE_S = 30
NOW = datetime.datetime(2026, 1, 1)
ADMIN = Viewer(None, True)
SHA = Digests("sha256", hashlib.sha256(DATA).hexdigest())


class Flaky(Memory):
    """Fails as often as ``failures`` says, and does ``meanwhile`` before it is read."""

    failures = 0
    asked = 0

    def meanwhile(self):
        pass

    def _fail(self):
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise errors.StoreUnavailable(store=self.name, reason="for a test")

    def size(self, url):
        self._fail()
        return super().size(url)

    def read(self, url, offset=0, length=None):
        self._fail()
        self.meanwhile()
        return super().read(url, offset, length)


class Endless:
    """Blocks that never end."""

    given = 0

    def __iter__(self):
        while True:
            self.given += 1
            yield bytes(BLOCK)

    def close(self):
        pass


class Bytes:
    def __init__(self, data):
        self.data = data

    def read(self, size=-1, /):
        block, self.data = self.data, b""
        return block


class Node:
    """One worker process."""

    def __init__(
        self, database, stores, *, is_secure=True, allowance=UNLIMITED, size_cap=10
    ):
        self.rows = image_rows.Images(database)
        self.leases = Leases(lease_rows.Leases(database))
        places, copies = LocationRows(database), Copies(database)
        self.images = Images(self.rows, copies, places, self.leases)
        self.told = []
        plan = Plan("sha512", is_secure, size_cap, 3)
        rows = Rows(self.images, self.rows, Registrations(database))
        looks = Looks(
            plan,
            rows,
            Contents(stores, threads.Workers(), self.leases),
            lambda owner: allowance,
            lambda image: self.told.append(image.status),
        )
        self.waited_s = 0.0
        self.verification = Verification(
            plan, rows, self.leases, looks, lambda: self.waited_s
        )
        self.locations = Locations(
            Registrations(database), self.leases, self.verification.begin
        )
        self.now = 0.0
        self.housekeeping = Housekeeping(
            self.rows, copies, Inventory(database), lease_rows.Leases(database),
            self.leases, stores, self.verification.begin, lambda: self.now,
        )  # fmt: skip

    def step(self):
        """Do one piece of work; False if there is none at the moment."""
        return self.verification.step(threading.Event())

    def work(self):
        """Do all that there is to do, as long as stores are asked again."""
        for _ in range(20):
            while self.step():
                pass
            self.waited_s += 1.0

    def keep_house(self):
        """Look, wait until a worker that does not beat counts as dead, look again."""
        for _ in range(8):
            self.housekeeping.look()
            self.now += LOST_AFTER_S / 5
        self.housekeeping.clean_up()


@pytest.fixture
def store():
    store = Flaky("shelf", threads.Workers())
    store.urls = {
        name: store.write(name, Bytes(data), None).url
        for name, data in (("disk", DATA), ("copy", DATA), ("other", DATA[::-1]))
    }
    return store


@pytest.fixture
def stores(store):
    return Stores([Store("shelf", store, default=True)], multi=True)


@pytest.fixture
def node(database, stores):
    return Node(database, stores)


@pytest.fixture
def ctx():
    return Context(project_id="p", roles=("admin",), is_admin=True)


@pytest.fixture
def an_image(node, ctx):
    def make(**more):
        image = factories.an_image(**({"owner": "p"} | more))
        return node.images.create(ctx, image, UNLIMITED)

    return make


@pytest.fixture
def registered(node, ctx, store, an_image):
    """Register a location of a new image; return what shows the image later."""

    def register(digests=None, name="disk", by=node, **more):
        image = an_image(**more)
        by.locations.add(ctx, image, Proposal(store.urls[name], {}, digests, "shelf"))
        return lambda: node.rows.show(image.id, ADMIN)

    return register


def relocate(node, ctx, image, change, purpose=VERIFY):
    """Change locations as a patch does."""
    done = node.images.relocate(ctx, image, [change], purpose, UNLIMITED)
    return done.lease


def leases(node):
    return [(row.image_id, row.purpose) for row in node.housekeeping._rows.watch()]


# --- what is found -----------------------------------------------------------


def test_digests_come_after_the_image_is_active(node, registered):
    show = registered()
    assert show().status == "importing"

    assert node.step()
    assert (show().status, show().size, show().checksum) == ("active", 10, None)
    node.work()

    assert show().os_hash_value == hashlib.sha512(DATA).hexdigest()
    assert show().checksum == hashlib.md5(DATA).hexdigest()
    assert leases(node) == []
    assert node.told == ["active", "active"]


def test_what_a_client_says_is_compared_first(node, registered):
    show = registered(SHA)

    assert node.step()
    assert show().status == "importing"
    node.work()

    assert (show().status, show().os_hash_value) == ("active", SHA.os_hash_value)
    assert leases(node) == []


def test_what_is_not_as_said_leaves_a_queued_image(node, registered):
    show = registered(SHA, "other")

    node.work()

    found = show()
    assert (found.status, found.locations, found.os_hash_value) == ("queued", (), None)
    assert leases(node) == []


def test_without_secure_hash_nothing_is_read(database, stores, store, registered):
    trusting = Node(database, stores, is_secure=False)
    show = registered(SHA, "other", by=trusting)

    trusting.work()

    assert (show().status, show().os_hash_value) == ("active", SHA.os_hash_value)
    assert store.asked == 1
    assert leases(trusting) == []


def test_without_secure_hash_nothing_is_read_after_a_crash_either(
    database, stores, store, registered
):
    trusting = Node(database, stores, is_secure=False)
    show = registered(SHA, "other", by=trusting)
    (lease,) = trusting.housekeeping._rows.watch()
    Registrations(database).activate(
        lease.token, show().id, Measured(10, None), UNLIMITED, NOW
    )

    after = Node(database, stores, is_secure=False)
    after.keep_house()
    after.work()

    assert (show().status, store.asked) == ("active", 0)
    assert leases(after) == []


@pytest.mark.parametrize("digests", [None, SHA], ids=["asked", "read"])
def test_a_place_is_noted_as_its_store_words_it(node, store, registered, digests):
    show = registered(digests, "copy")
    store.canonical = lambda url: store.urls["disk"]

    node.work()

    assert [at.url for at in show().locations] == [store.urls["disk"]]
    assert (show().status, leases(node)) == ("active", [])


@pytest.mark.parametrize("missing", ["disk_format", "container_format"])
def test_without_formats_the_image_stays_queued(node, registered, missing):
    show = registered(**{missing: None})

    node.work()

    assert (show().status, show().locations) == ("queued", ())


def test_there_has_to_be_room(database, stores, registered):
    tight = Node(database, stores, allowance=UNLIMITED._replace(bytes=9))
    show = registered(by=tight)

    tight.work()

    assert (show().status, show().locations) == ("queued", ())
    assert leases(tight) == []


@pytest.mark.parametrize("digests", [None, SHA], ids=["asked", "read"])
def test_more_than_an_image_may_have_is_not_taken(
    database, stores, registered, digests
):
    small = Node(database, stores, size_cap=9)
    show = registered(digests, by=small)

    small.work()

    assert (show().status, show().size, show().locations) == ("queued", None, ())
    assert leases(small) == []


@pytest.mark.parametrize("by_patch", [False, True], ids=["compared", "looked-at"])
def test_endless_bytes_are_not_read_on(
    node, ctx, store, an_image, registered, by_patch
):
    endless = Endless()
    store.size = lambda url: 10
    store.read = lambda url: endless
    if by_patch:
        image = an_image()
        proposal = Proposal(store.urls["disk"], {}, None, "shelf", 10)
        lease = relocate(node, ctx, image, Change("add", "locations", proposal))
        node.verification.begin(lease)
    else:
        registered(SHA)

    node.work()

    assert endless.given <= 10
    assert leases(node) == []


# --- trouble -----------------------------------------------------------------


def test_a_store_is_asked_again_after_a_pause(node, store, registered):
    show = registered()
    store.failures = 2

    tries = []
    for _ in range(6):
        while node.step():
            pass
        tries.append(store.asked)
        node.waited_s += 1.0

    assert tries == [1, 2, 2, 2, 4, 4]  # the bytes are read at once after the third
    assert show().os_hash_value


def test_a_store_that_keeps_failing_is_given_up(node, store, registered):
    show = registered()
    store.failures = 3

    node.work()

    assert (show().status, show().locations, store.asked) == ("queued", (), 3)


def test_an_active_image_stays_so_if_nobody_can_read_it_now(node, store, registered):
    show = registered()
    assert node.step()
    store.failures = 3

    node.work()

    assert (show().status, show().checksum) == ("active", None)
    assert leases(node) == []


def test_a_bug_is_not_tried_for_ever(node, store, registered):
    show = registered(SHA)
    store.meanwhile = lambda: 1 / 0

    node.work()

    assert show().status == "queued"
    assert leases(node) == []


def test_a_process_that_ends_leaves_its_work_to_another(
    node, database, stores, store, registered
):
    show = registered()
    store.failures = 1
    assert node.step()
    assert not node.step()
    assert show().status == "importing"

    other = Node(database, stores)
    other.keep_house()
    other.work()

    assert show().os_hash_value
    assert leases(other) == []


def test_who_lost_his_lease_changes_nothing(node, database, stores, store, registered):
    show, other = registered(SHA), Node(database, stores)
    store.meanwhile = lambda: (other.keep_house(), node.leases.beat())

    node.work()

    assert show().status == "importing"
    store.meanwhile = lambda: None
    other.work()
    assert show().status == "active"


# --- others meanwhile --------------------------------------------------------


def test_a_deleted_image_is_cleaned_up(node, ctx, store, registered):
    show = registered()
    image = show()
    store.meanwhile = lambda: (node.images.doom(ctx, image), node.leases.beat())

    node.work()
    node.housekeeping.clean_up()

    assert show() is None
    assert leases(node) == []


def test_a_deleted_image_waits_for_nobodys_turn(node, ctx, registered):
    show = registered()
    node.images.doom(ctx, show())
    node.leases.beat()

    node.verification.sweep()
    node.housekeeping.clean_up()

    assert leases(node) == []
    assert not node.step()


def test_addresses_that_never_answer_keep_only_their_project_waiting(
    node, store, registered
):
    dead = [registered(name="other", owner="a") for _ in range(2 * ASKERS)]
    good = registered(owner="b")
    released, is_over = threading.Event(), threading.Event()
    answer = store.size

    def size(url):
        if url == store.urls["other"]:
            released.wait(PATIENCE_S)
        return answer(url)

    store.size = size
    running = [
        threading.Thread(target=job, args=(is_over,)) for job in node.verification.jobs
    ]
    for thread in running:
        thread.start()
    try:
        end = time.monotonic() + PATIENCE_S
        while not good().os_hash_value and time.monotonic() < end:
            time.sleep(0.01)
        found = good().os_hash_value, [show().status for show in dead]
    finally:
        released.set()
        is_over.set()
        for thread in running:
            thread.join()

    assert found == (hashlib.sha512(DATA).hexdigest(), ["importing"] * len(dead))


def test_a_location_that_comes_meanwhile_is_looked_at_too(node, ctx, store, registered):
    show = registered()
    added = []

    def add():
        if not added:
            other = Proposal(store.urls["other"], {}, None, "shelf", 10)
            added.append(relocate(node, ctx, show(), Change("add", "locations", other)))

    store.meanwhile = add

    node.work()

    assert added == [None]
    assert [at.url for at in show().locations] == [store.urls["disk"]]
    assert leases(node) == []


def test_a_location_that_is_removed_meanwhile_goes_when_it_was_read(
    node, ctx, store, registered
):
    show = registered()
    node.work()
    copy = Proposal(store.urls["copy"], {}, None, "shelf", 10)
    lease = relocate(node, ctx, show(), Change("add", "locations", copy))
    node.verification.begin(lease, [("shelf", store.urls["disk"])])

    def remove():
        change = Change("remove", "locations", place=0)
        assert relocate(node, ctx, show(), change, REMOVE) is None

    store.meanwhile = remove
    node.work()
    assert leases(node) == [(show().id, REMOVE)]
    node.housekeeping.clean_up()

    assert [at.url for at in show().locations] == [store.urls["copy"]]
    assert leases(node) == []
    with pytest.raises(errors.KeyNotFound):
        Memory.size(store, store.urls["disk"])


def test_other_bytes_that_are_removed_while_they_are_read_stop_no_image(
    node, ctx, store, registered
):
    show = registered()
    node.work()
    other = Proposal(store.urls["other"], {}, None, "shelf", 10)
    lease = relocate(node, ctx, show(), Change("add", "locations", other))
    node.verification.begin(lease, [("shelf", store.urls["disk"])])
    change = Change("remove", "locations", place=1)
    store.meanwhile = lambda: relocate(node, ctx, show(), change, REMOVE)

    node.work()

    assert show().status == "active"
    assert [at.url for at in show().locations] == [store.urls["disk"]]


def test_an_image_whose_bytes_are_not_its_own_is_deactivated(
    node, ctx, store, an_image
):
    image = an_image()
    said = Digests("sha512", "0" * 128, "0" * 32)
    proposal = Proposal(store.urls["disk"], {}, said, "shelf", 10)
    lease = relocate(node, ctx, image, Change("add", "locations", proposal))
    assert node.rows.show(image.id, ADMIN).status == "active"
    node.verification.begin(lease)

    node.work()

    assert node.rows.show(image.id, ADMIN).status == "deactivated"
    assert leases(node) == []


@pytest.fixture
def undescribed(node, ctx, store, registered):
    """An image whose digests are unknown, to which other bytes were added as a copy."""
    show = registered()
    assert node.step()
    store.failures = 3
    node.work()
    assert show().os_hash_value is None
    other = Proposal(store.urls["other"], {}, None, "shelf", 10)
    lease = relocate(node, ctx, show(), Change("add", "locations", other))
    node.verification.begin(lease, [("shelf", store.urls["disk"])])
    return show


@pytest.mark.parametrize("worker", ["who-was-asked", "the-next-one"])
def test_the_first_location_says_what_the_bytes_are(
    node, database, stores, store, undescribed, worker
):
    if worker == "the-next-one":
        node = Node(database, stores)
        node.keep_house()

    node.work()

    found = undescribed()
    assert found.os_hash_value == hashlib.sha512(DATA).hexdigest()
    assert [at.url for at in found.locations] == [store.urls["disk"]]
    assert leases(node) == []


def test_a_later_location_never_says_what_the_bytes_are(node, store, undescribed):
    store.failures = 3

    node.work()

    assert (undescribed().os_hash_value, len(undescribed().locations)) == (None, 2)
    assert leases(node) == []


def test_what_is_removed_while_it_is_read_does_not_say_what_the_bytes_are(
    node, ctx, store, undescribed
):
    def remove():
        store.meanwhile = lambda: None
        change = Change("remove", "locations", place=0)
        relocate(node, ctx, undescribed(), change, REMOVE)

    store.meanwhile = remove

    node.work()

    found = undescribed()
    assert [at.url for at in found.locations] == [store.urls["other"]]
    assert found.os_hash_value == hashlib.sha512(DATA[::-1]).hexdigest()
    assert found.status == "active"
