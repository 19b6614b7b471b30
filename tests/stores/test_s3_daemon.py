"""The S3 store in the daemon, where sockets and threads are green."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import daemons
from tests.daemon import Daemon
from tests.hammer import calls
from tests.hammer.calls import Upload
from tests.stores.ceph import Ceph
from tests.stores.certificate import self_signed
from tests.stores.test_s3 import everything, on

pytestmark = pytest.mark.servers

MIB = 1024 * 1024
SOON_S = 2.0


def options(ceph: Ceph, **changed: object) -> dict[str, dict[str, object]]:
    """A single worker, which keeps everything in S3."""
    return {
        "DEFAULT": {"enabled_backends": "cold:s3", "workers": 1},
        "glance_store": {"default_backend": "cold"},
        "cold": {
            "s3_store_host": ceph.url,
            "s3_store_access_key": ceph.account.access_key,
            "s3_store_secret_key": ceph.account.secret_key,
            "s3_store_bucket": "daemon",
            "s3_store_create_bucket_on_put": True,
            "s3_store_large_object_chunk_size": 5,
            "s3_store_read_timeout": 5,
            **changed,
        },
    }


@pytest.fixture(scope="module")
def daemon(ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemons(Path(tmp_path_factory.mktemp("daemon"))) as start:
        yield start(options(ceph))


def uploaded(daemon: Daemon, data: bytes) -> str:
    image = calls.create(daemon.url)
    headers = {"Content-Type": "application/octet-stream"}
    answer = calls.call(daemon.url, "PUT", f"{image}/file", data, headers)
    assert answer.status == 204, answer
    return image


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 23 * MIB + 5])
def test_bytes_go_up_and_come_down(daemon, size):
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]

    image = uploaded(daemon, data)

    found = calls.call(daemon.url, "GET", f"{image}/file")
    assert found.body == data
    if size > 20:
        span = {"Range": "bytes=10-19"}
        part = calls.call(daemon.url, "GET", f"{image}/file", headers=span)
        assert (part.status, part.body) == (206, data[10:20])
    assert calls.call(daemon.url, "DELETE", image).status == 204


def test_many_transfers_at_once(daemon):
    statuses = []

    def transfer(number):
        data = bytes([number]) * (11 * MIB + number)
        image = uploaded(daemon, data)
        answer = calls.call(daemon.url, "GET", f"{image}/file")
        statuses.append((answer.status, answer.body == data))
        calls.call(daemon.url, "DELETE", image)

    threads = [threading.Thread(target=transfer, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [(200, True)] * 6


def test_a_gateway_that_hangs_holds_up_nobody_else(daemon, ceph):
    image = uploaded(daemon, b"data")
    ceph.freeze("gateway")
    try:
        answers = []
        waiting = threading.Thread(
            target=lambda: answers.append(
                calls.call(daemon.url, "GET", f"{image}/file").status
            )
        )
        waiting.start()
        started = time.monotonic()
        for _ in range(10):
            assert calls.call(daemon.url, "GET", image).status == 200
        assert time.monotonic() - started < SOON_S
        waiting.join()
    finally:
        ceph.thaw("gateway")

    assert answers == [503]
    assert calls.call(daemon.url, "GET", f"{image}/file").body == b"data"
    assert calls.call(daemon.url, "DELETE", image).status == 204


def test_transfers_over_https(tmp_path_factory, start_daemon):
    certificate = self_signed(tmp_path_factory.mktemp("certificate") / "gateway.pem")
    folder = tmp_path_factory.mktemp("secure")
    with Ceph(folder, gateway=True, certificate=certificate) as secure:
        daemon = start_daemon(
            options(
                secure, s3_store_host=secure.secure_url, s3_store_cacert=certificate
            )
        )
        data = bytes(range(256)) * (11 * 4096)

        image = uploaded(daemon, data)

        assert calls.call(daemon.url, "GET", f"{image}/file").body == data
        assert calls.call(daemon.url, "DELETE", image).status == 204


BLOCK = b"0123456789abcdef" * 65536  # 1 MiB
RECOVERY_S = 30


def half_uploaded(daemon: Daemon) -> tuple[str, Upload]:
    """Begin an upload of 20 MiB and send 12; two parts of 5 MiB are on their way."""
    image = calls.create(daemon.url)
    upload = Upload(daemon.url, image, 20 * MIB)
    upload.send(BLOCK * 12)
    calls.until(calls.status_is(daemon.url, image, "saving"), 10, "it is not saving")
    return image, upload


@pytest.mark.parametrize("how", ["client", "daemon"])
def test_what_ends_in_mid_upload_leaves_the_image_queued(daemon, ceph, how):
    bucket = on(ceph, bucket="daemon")
    image, upload = half_uploaded(daemon)
    calls.until(lambda: everything(bucket), 10, "no upload has begun")

    if how == "client":
        upload.reset()
    else:
        daemon.kill()
        daemon.start()

    is_queued = calls.status_is(daemon.url, image, "queued")
    calls.until(is_queued, RECOVERY_S, "the image is not queued")
    calls.until(lambda: not everything(bucket), RECOVERY_S, "parts are left")
    assert calls.put(daemon.url, image, BLOCK) == 204
    assert calls.call(daemon.url, "GET", f"{image}/file").body == BLOCK
    assert calls.call(daemon.url, "DELETE", image).status == 204
