"""The swift store in the accounts of projects, on a real Swift with a real Keystone."""

import contextlib
import hashlib
import time
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import swiftclient

from imageservice import errors
from imageservice.stores.driver import BLOCK, Reader, Written
from imageservice.stores.swift import Swift as Store
from imageservice.stores.swift import names
from imageservice.stores.testing import (
    DriverSuite,
    Stream,
    Threads,
    pattern,
    raising,
    read_all,
)
from tests.conftest import StartDaemon
from tests.daemon import Daemon
from tests.hammer import calls
from tests.identity.keystone import Account, Keystone
from tests.stores import swift as servers
from tests.stores.swift import Swift
from tests.stores.swift_stores import below, client_of, defaults, sign

pytestmark = pytest.mark.servers

SEGMENTED = {
    "swift_store_large_object_size": 1,
    "swift_store_large_object_chunk_size": 1,
}
PROJECTS = ("owner", "partner", servers.KEYSTONE_PROJECT)
DATA = pattern(3 * BLOCK + 17)


class Cloud:
    """Stores of one configuration, and users who look into their accounts."""

    def __init__(self, swift: Swift, keystone: Keystone) -> None:
        self.swift = swift
        self.keystone = keystone
        self.container = f"images-{uuid.uuid4().hex[:8]}"

    def options(self, **changed: object) -> dict[str, object]:
        return {
            "swift_store_multi_tenant": True,
            "swift_store_auth_address": self.keystone.url,
            "swift_store_user": f"{servers.KEYSTONE_PROJECT}:{servers.RESELLER}",
            "swift_store_key": self.keystone.password(servers.RESELLER),
            "swift_store_container": self.container,
            "swift_store_create_container_on_put": True,
            "swift_store_timeout": 20,
            **changed,
        }

    def store(self, kind: type[Store] = Store, **changed: object) -> Store:
        values = defaults() | self.options(**changed)
        return kind.configured("cloud", values, Threads())

    @contextlib.contextmanager
    def user(
        self, name: str, project: str | None = None
    ) -> Iterator[swiftclient.Connection]:
        """A user of Keystone in the account of a project, by default of their own."""
        account = self.keystone.project(project) if project else None
        made = client_of(self.swift, self.keystone, name, account)
        with contextlib.closing(made) as connection:
            yield connection

    def held(self, account: str) -> list[str]:
        """What lies in the account of a project, by its id; notes included."""
        reseller = client_of(self.swift, self.keystone, servers.RESELLER, account)
        with contextlib.closing(reseller) as connection:
            return below(connection, self.container)

    def left(self) -> list[str]:
        known = [self.keystone.project(name) for name in PROJECTS]
        accounts = [*known, *calls.PROJECTS.values()]
        return [name for account in accounts for name in self.held(account)]


@pytest.fixture(scope="module", autouse=True)
def _temporary_urls(keystone_swift: Swift, keystone: Keystone) -> None:
    """Let the accounts have keys for temporary URLs, as their projects may set them."""
    for project in PROJECTS:
        account = keystone.project(project)
        client = client_of(keystone_swift, keystone, servers.RESELLER, account)
        with contextlib.closing(client):
            sign(client)


@pytest.fixture
def cloud(keystone_swift: Swift, keystone: Keystone) -> Iterator[Cloud]:
    cloud = Cloud(keystone_swift, keystone)
    yield cloud
    assert cloud.left() == []


class OfOwner(Store):
    """Every image is of one project."""

    project = ""

    def write(self, key: str, data: Reader, size: int | None) -> Written:
        return self.write_for(self.project, key, data, size)


class TestTenants(DriverSuite):
    """Images in the account of a project, in segments of one block each."""

    test_more_than_five_gibibytes = None

    @pytest.fixture
    def driver(self, cloud: Cloud) -> Store:
        driver = cloud.store(OfOwner, **SEGMENTED)
        driver.project = cloud.keystone.project("owner")
        return driver

    @pytest.fixture(autouse=True)
    def _looking(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def left(self, driver: Store) -> list[str]:
        return self._cloud.left()


def put(cloud: Cloud, driver: Store, project: str, key: str = "key") -> str:
    owner = cloud.keystone.project(project)
    return driver.write_for(owner, key, Stream(DATA), len(DATA)).url


def test_bytes_lie_in_the_account_of_their_project_alone(cloud):
    driver = cloud.store(**SEGMENTED)
    urls = [put(cloud, driver, "owner", "one"), put(cloud, driver, "partner", "two")]

    for project, key in ("owner", "one"), ("partner", "two"):
        held = cloud.held(cloud.keystone.project(project))
        assert {name.partition("/")[0] for name in held} == {key}
    with cloud.user("owner") as own:
        assert own.get_object(cloud.container, "one")[1] == DATA
    with (
        cloud.user("partner", "owner") as stranger,
        pytest.raises(swiftclient.ClientException, match="403"),
    ):
        stranger.get_object(cloud.container, "one")

    for url in urls:
        assert read_all(driver, url) == DATA
        driver.delete(url)


def test_an_image_of_nobody_lies_in_the_account_of_the_store(cloud):
    driver = cloud.store()

    url = driver.write_for(None, "key", Stream(DATA), None).url

    assert "key" in cloud.held(cloud.keystone.project(servers.KEYSTONE_PROJECT))
    assert read_all(driver, url) == DATA
    assert [each.url for each in driver.listing()] == [url]
    driver.discard("key")


def test_a_location_holds_no_host_and_is_none_to_register(cloud):
    driver = cloud.store()
    url = put(cloud, driver, "owner")

    owner = cloud.keystone.project("owner")
    assert url.startswith(f"swift+config://ref1/{owner}/{cloud.container}/key/")
    assert "127.0.0.1" not in url
    with pytest.raises(errors.LocationInvalid):
        driver.check_url(url)
    driver.delete(url)


def test_the_key_for_temporary_urls_is_that_of_the_stores_account(cloud):
    driver = cloud.store(swift_store_temp_url_key="the-store's", **SEGMENTED)
    url = put(cloud, driver, "owner")

    with urllib.request.urlopen(driver.redirect(url, 60), timeout=20) as answer:
        assert answer.read() == DATA

    nobodys = driver.write_for(None, "another", Stream(DATA), None).url
    with cloud.user(servers.RESELLER) as own:
        own.post_container(
            cloud.container, {"X-Container-Meta-Temp-URL-Key": "the-store's"}
        )
    with urllib.request.urlopen(driver.redirect(nobodys, 60), timeout=20) as answer:
        assert answer.read() == DATA
    driver.delete(url)
    driver.delete(nobodys)


def test_an_owner_that_is_no_project_is_refused(cloud):
    driver = cloud.store()

    for owner in ("", "a/b", "..", "a_b", "x" * 65):
        with pytest.raises(errors.StoreDenied):
            driver.write_for(owner, "key", Stream(DATA), None)


@pytest.mark.parametrize("seed", [0, 2])
def test_an_image_of_the_own_project_is_listed_once(cloud, seed):
    driver = cloud.store(swift_store_multiple_containers_seed=seed, **SEGMENTED)
    url = put(cloud, driver, servers.KEYSTONE_PROJECT)
    nobodys = driver.write_for(None, "another", Stream(DATA), None).url

    assert sorted(each.url for each in driver.listing()) == sorted([url, nobodys])
    driver.delete(url)
    driver.discard("another")


def test_a_key_is_discarded_wherever_it_lies(cloud):
    driver = cloud.store(**SEGMENTED)
    put(cloud, driver, "owner")
    put(cloud, driver, "partner")  # it was given to another project

    driver.discard("key")

    assert list(driver.listing()) == []


def test_what_a_dead_writer_left_is_listed_and_discarded(cloud):
    driver = cloud.store(**SEGMENTED)
    owner = cloud.keystone.project("owner")
    place = names.Place("ref1", cloud.container, "key", owner)
    with cloud.user(servers.RESELLER, "owner") as account:
        account.put_container(cloud.container)
        account.put_object(cloud.container, "key/dead", b"")
        account.put_object(cloud.container, "key/dead/00000001", DATA)
    with cloud.user(servers.RESELLER) as own:
        own.put_container(names.notes_of(cloud.container))
        note = names.note(place.name, owner, "dead")
        own.put_object(names.notes_of(cloud.container), note, b"")

    (found,) = driver.listing()
    assert (found.key, found.url, found.size) == ("key", "", len(DATA))
    driver.discard("key")


def test_a_project_that_removed_everything_leaves_no_note(cloud):
    driver = cloud.store()
    url = put(cloud, driver, "owner")
    with cloud.user("owner") as own:
        for name in cloud.held(cloud.keystone.project("owner")):
            own.delete_object(cloud.container, name)

    (found,) = driver.listing()
    assert not found.is_finished
    with pytest.raises(errors.KeyNotFound):
        driver.delete(url)


def test_notes_that_are_gone_take_no_image_for_gone(cloud):
    """A project may remove its container; the notes are ours, and in the right account."""
    driver = cloud.store()
    url = put(cloud, driver, "owner")
    driver.delete(url)
    with cloud.user("owner") as own:
        own.delete_container(cloud.container)
    for call in (driver.size, driver.read, driver.delete):
        with pytest.raises(errors.KeyNotFound):
            call(url)
    notes = names.notes_of(cloud.container)
    with cloud.user(servers.RESELLER) as own:
        own.delete_container(notes)

    for call in (driver.size, driver.read, driver.delete):
        with pytest.raises(errors.StoreUnavailable, match=notes):
            call(url)
    driver.discard("key")


@pytest.mark.parametrize(
    "kind", ["other-bytes", "text-of-etags", "link", "links-in-a-list"]
)
def test_a_project_cannot_show_what_it_may_not_read(cloud, kind):
    """The store may read all accounts: what it is led to there is not shown."""
    driver = cloud.store(**SEGMENTED)
    mine = put(cloud, driver, "owner", "mine")
    partner = cloud.keystone.project("partner")
    with cloud.user("partner") as other:
        other.put_container(cloud.container)
        other.put_object(cloud.container, "secret", DATA)
    link = {
        "X-Symlink-Target": f"{cloud.container}/secret",
        "X-Symlink-Target-Account": f"AUTH_{partner}",
    }
    with cloud.user("owner") as own:
        match kind:
            case "other-bytes":
                own.put_object(cloud.container, "mine", DATA[::-1])
            case "text-of-etags":  # an SLO's ETag is its MD5
                blocks = [DATA[at : at + BLOCK] for at in range(0, len(DATA), BLOCK)]
                text = "".join(hashlib.md5(block).hexdigest() for block in blocks)
                etag = own.put_object(cloud.container, "mine", text)
                assert mine.endswith(f"/{etag}")
            case "link":
                own.put_object(cloud.container, "mine", b"", headers=link)
            case _:
                own.put_object(cloud.container, "mine/links/1", b"", headers=link)
                listed = {"X-Object-Manifest": f"{cloud.container}/mine/links/"}
                own.put_object(cloud.container, "mine", b"", headers=listed)

    for call in (driver.size, lambda url: read_all(driver, url)):
        with pytest.raises(errors.StoreUnavailable, match="changed"):
            call(mine)
    driver.delete(mine)
    with cloud.user("partner") as other:
        assert other.get_object(cloud.container, "secret")[1] == DATA
        other.delete_object(cloud.container, "secret")


@pytest.mark.parametrize("removal", ["delete", "discard", "of-the-incumbent"])
def test_nobody_leads_a_removal_to_what_they_may_not_touch(cloud, removal):
    """A friend of the owner may write images, and no backups."""
    driver = cloud.store(**SEGMENTED)
    url = put(cloud, driver, "owner")
    owner, partner = map(cloud.keystone.project, ("owner", "partner"))
    backups = f"{cloud.container}-backups"
    with cloud.user("owner") as own:
        own.post_container(cloud.container, {"X-Container-Write": f"{partner}:*"})
        own.put_container(backups)
        own.put_object(backups, "precious", DATA)
    with cloud.user("partner", "owner") as friend:
        for name in cloud.held(owner):
            if name.startswith("key/"):
                friend.delete_object(cloud.container, name)
        lead = {"X-Object-Manifest": f"{backups}/p"}
        friend.put_object(cloud.container, "key", b"", headers=lead)

    match removal:
        case "delete":
            driver.delete(url)
        case "discard":
            driver.discard("key")
        case _:
            driver.delete(f"swift+https://a.b/v1/AUTH_{owner}/{cloud.container}/key")

    with cloud.user("owner") as own:
        assert own.get_object(backups, "precious")[1] == DATA
        own.delete_object(backups, "precious")


def test_an_upload_that_fails_leaves_nothing(cloud):
    driver = cloud.store(**SEGMENTED)
    stream = Stream(DATA, at=2 * BLOCK, then=raising(errors.ImageGone(image_id="key")))

    with pytest.raises(errors.ImageGone):
        driver.write_for(cloud.keystone.project("owner"), "key", stream, None)

    assert cloud.left() == []


def test_projects_of_administrators_may_use_the_containers(cloud):
    partner = cloud.keystone.project("partner")
    driver = cloud.store(swift_store_admin_tenants=[partner])
    url = put(cloud, driver, "owner")

    with cloud.user("partner", "owner") as administrator:
        assert administrator.get_object(cloud.container, "key")[1] == DATA
    driver.delete(url)


def test_another_password_needs_another_configuration_only(cloud):
    keystone = cloud.keystone
    name = "rotated"
    keystone.settle(name, Account(servers.KEYSTONE_PROJECT, servers.RESELLER_ROLE))
    user = {"swift_store_user": f"{servers.KEYSTONE_PROJECT}:{name}"}
    old = {**user, "swift_store_key": keystone.password(name)}
    url = put(cloud, cloud.store(**old), "owner")

    changed = {"user": {"password": "another"}}
    keystone.admin().patch(f"/users/{keystone.user(name)}", json=changed)

    with pytest.raises(errors.StoreDenied):
        read_all(cloud.store(**old), url)
    driver = cloud.store(**user, swift_store_key="another")

    def is_read() -> bool:
        # Tokens of the very second in which a password changes are no good.
        with contextlib.suppress(errors.StoreDenied):
            return read_all(driver, url) == DATA
        return False

    calls.until(is_read, 10, "the new password is not accepted")
    driver.delete(url)


def test_many_wait_for_one_login_that_hangs(cloud, keystone):
    """They do not ask a Keystone that hangs one after the other."""
    driver = cloud.store(swift_store_timeout=2)
    started = time.monotonic()

    with keystone.frozen(), ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(driver.check) for _ in range(8)]
        for call in asked:
            with pytest.raises(errors.StoreUnavailable):
                call.result()
        assert time.monotonic() - started < 6

    driver.discard("key")


def test_a_user_without_the_role_is_told(cloud):
    driver = cloud.store(
        swift_store_user=f"{servers.KEYSTONE_PROJECT}:{servers.KEYSTONE_USER}",
        swift_store_key=cloud.keystone.password(servers.KEYSTONE_USER),
    )

    for call in (driver.check, lambda: put(cloud, driver, "owner")):
        with pytest.raises(errors.StoreDenied):
            call()
    driver.discard("key")


@pytest.mark.parametrize("kind", ["plain", "dynamic"])
def test_an_image_of_the_incumbent(cloud, kind):
    """Plain objects are read; of lists nobody can tell what they would lead to."""
    driver = cloud.store()
    owner = cloud.keystone.project("owner")
    container = f"{cloud.container}_image"
    with cloud.user("owner") as own:
        own.put_container(container)
        if kind == "plain":
            own.put_object(container, "image", DATA)
        else:
            own.put_object(container, "image-00001", DATA)
            listed = {"X-Object-Manifest": f"{container}/image-"}
            own.put_object(container, "image", b"", headers=listed)
    url = f"swift+https://swift.example/v1/AUTH_{owner}/{container}/image"

    if kind == "plain":
        assert driver.size(url) == len(DATA)
        assert read_all(driver, url, 5, BLOCK) == DATA[5 : 5 + BLOCK]
    else:
        with pytest.raises(errors.StoreUnavailable):
            driver.read(url)
    with pytest.raises(errors.LocationInvalid):
        driver.check_url(url)
    driver.delete(url)
    with cloud.user("owner") as own:
        found = own.get_account(prefix=cloud.container)[1]
    assert container not in [each["name"] for each in found]


@pytest.fixture
def daemon(cloud: Cloud, start_daemon: StartDaemon) -> Daemon:
    stores = {"enabled_backends": "only:swift", "workers": 1}
    return start_daemon(
        {
            "DEFAULT": stores,
            "glance_store": {"default_backend": "only"},
            "only": cloud.options(**SEGMENTED),
        }
    )


def test_the_daemon_stores_an_image_with_its_owner(cloud, daemon):
    image = calls.create(daemon.url)
    assert calls.put(daemon.url, image, DATA) == 204

    assert calls.name(image) in cloud.held(calls.PROJECTS["owner"])
    assert calls.download(daemon.url, image) == DATA
    assert calls.call(daemon.url, "DELETE", image).status == 204


def test_a_daemon_that_is_killed_in_an_upload_leaves_nothing(cloud, daemon):
    image = calls.create(daemon.url)
    upload = calls.Upload(daemon.url, image, 2 * len(DATA))
    upload.send(DATA)
    account = calls.PROJECTS["owner"]
    calls.until(lambda: len(cloud.held(account)) > 2, 60, "nothing has come so far")

    daemon.kill()
    upload.close()
    daemon.start()

    is_queued = calls.status_is(daemon.url, image, "queued")
    calls.until(is_queued, 60, "it is not queued")
    calls.until(lambda: not cloud.left(), 60, "something is left")
    assert calls.call(daemon.url, "DELETE", image).status == 204
