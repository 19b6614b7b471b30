"""S3 stores for tests, and what lies in them."""

import contextlib
import secrets
import uuid
from collections.abc import Iterator

from imageservice.stores.s3 import S3
from imageservice.stores.testing import Threads
from tests.daemon import Daemon
from tests.stores.backends import TIMEOUT_S, Server
from tests.stores.ceph import Account, Ceph
from tests.stores.swift import Swift


def options(**changed: object) -> dict[str, object]:
    """Values of all options: defaults, but for those given without ``s3_store_``."""
    given = {f"s3_store_{name}": value for name, value in changed.items()}
    return {opt.dest: opt.default for opt in S3.OPTS} | given


def on(ceph: Ceph, **changed: object) -> S3:
    values = {
        "host": ceph.url,
        "access_key": ceph.account.access_key,
        "secret_key": ceph.account.secret_key,
        "bucket": "images",
        "create_bucket_on_put": True,
        "read_timeout": 10,
    }
    return S3.configured("cold", options(**values | changed), Threads())


def on_swift(swift: Swift, **changed: object) -> S3:
    """On Swift's S3 interface."""
    values = {
        "host": swift.url,
        "access_key": swift.user,
        "secret_key": swift.key,
        "create_bucket_on_put": True,
        "read_timeout": 10,
    }
    return S3.configured("cold", options(**values | changed), Threads())


def new_name() -> str:
    """A bucket that is not there yet."""
    return f"images-{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def emptied(store: S3) -> Iterator[S3]:
    """Make the bucket; in the end nothing may be left in it."""
    store.create()
    yield store
    assert everything(store) == []


def everything(driver: S3) -> list[str]:
    """Names of objects and unfinished uploads in the bucket."""
    client, name = driver._bucket.calls.client, driver._plan.bucket
    objects = client.list_objects_v2(Bucket=name).get("Contents", [])
    uploads = client.list_multipart_uploads(Bucket=name).get("Uploads", [])
    return [each["Key"] for each in [*objects, *uploads]]


class Buckets(Server):
    """A bucket of Ceph's gateway, of a user of its own."""

    kind = "s3"

    def __init__(self, ceph: Ceph) -> None:
        self._ceph = ceph
        self._user = f"daemon-{uuid.uuid4().hex[:8]}"
        account = ceph.new_account(self._user)
        self.options = {
            "s3_store_host": ceph.url,
            "s3_store_access_key": account.access_key,
            "s3_store_secret_key": account.secret_key,
            "s3_store_bucket": self._user,
            "s3_store_create_bucket_on_put": True,
            "s3_store_large_object_chunk_size": 5,
            "s3_store_connect_timeout": TIMEOUT_S,
            "s3_store_read_timeout": TIMEOUT_S,
        }
        self._driver().create()

    def _driver(self) -> S3:
        given = {
            name.removeprefix("s3_store_"): value
            for name, value in self.options.items()
        }
        return on(self._ceph, **given)

    def left(self, daemon: Daemon) -> list[str]:
        return everything(self._driver())

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        with self._ceph.quota(self._user, "--max-size=1M"):
            yield

    def frozen(self) -> contextlib.AbstractContextManager[None]:
        return self._ceph.frozen("gateway")

    def restart(self) -> None:
        self._ceph.restart("gateway")

    def rotate(self) -> None:
        new = Account(secrets.token_hex(10).upper(), secrets.token_hex(20))
        old = self.options["s3_store_access_key"]
        self._ceph.admin(
            "key", "create", f"--uid={self._user}",
            f"--access-key={new.access_key}", f"--secret-key={new.secret_key}",
        )  # fmt: skip
        self._ceph.admin("key", "rm", f"--uid={self._user}", f"--access-key={old}")
        self._ceph.restart("gateway")  # it remembers keys for a while
        self.options["s3_store_access_key"] = new.access_key
        self.options["s3_store_secret_key"] = new.secret_key
