"""Audits and moves between a file store and each of the real servers."""

import pytest

from tests import databases
from tests.care.place import Place
from tests.care.running import drain_while_it_is_read
from tests.stores.ceph import Ceph
from tests.stores.rbds import options as rbd_options
from tests.stores.swift import Swift

pytestmark = pytest.mark.servers


def s3(request):
    ceph: Ceph = request.getfixturevalue("ceph")
    return "s3", {
        "s3_store_host": ceph.url,
        "s3_store_access_key": ceph.account.access_key,
        "s3_store_secret_key": ceph.account.secret_key,
        "s3_store_bucket": "care",
        "s3_store_create_bucket_on_put": True,
    }


def rbd(request):
    chosen = rbd_options(request.getfixturevalue("ceph"))
    wanted = ("ceph_conf", "user", "pool")
    return "rbd", {f"rbd_store_{name}": chosen[f"rbd_store_{name}"] for name in wanted}


def swift(request):
    running: Swift = request.getfixturevalue("swift_server")
    return "swift", {
        "swift_store_auth_version": "1",
        "swift_store_auth_address": running.auth,
        "swift_store_user": running.user,
        "swift_store_key": running.key,
        "swift_store_container": "care",
        "swift_store_create_container_on_put": True,
    }


@pytest.fixture(scope="module")
def swift_server(tmp_path_factory):
    with Swift(tmp_path_factory.mktemp("swift")) as running:
        yield running


@pytest.fixture(params=[s3, rbd, swift])
def far(request):
    """The kind and the options of a store on a real server."""
    if request.param is swift:
        pytest.importorskip("swiftclient")
    return request.param(request)


@pytest.fixture
def place(far, tmp_path):
    with databases.ready("sqlite", tmp_path) as url:
        yield Place(tmp_path, url, far)


def test_images_go_there_and_back_and_nothing_is_left(place):
    images = [place.upload("near", data=bytes([n]) * 100_000) for n in range(3)]

    assert place.manage("drain", "near", "--to", "far").code == 0
    assert place.held("near") == []
    assert place.audit("--digest").code == 0
    with place.tools() as tools:
        driver = tools.stores.get("far").driver
        (lost,) = [each.url for each in driver.listing() if each.key == images[0]]
        assert place.manage("copy", "--to", "near", "--all").code == 0
        driver.delete(lost)

    answer = place.audit("--repair", "--digest")

    assert answer.findings == [("far", "missing", images[0], "replaced")]
    assert place.manage("drain", "far", "--to", "near").code == 0
    assert place.held("near") == sorted(images)
    answer = place.audit("--digest")
    assert answer.code == 0
    assert [line["objects"] for line in answer.of("store")] == [3, 0, 0]


def test_bytes_of_no_image_are_found_and_removed(place):
    kept = [place.upload("far") for _ in range(3)]
    gone = place.upload("near", "far")
    with place.tools() as tools:
        image = tools.images.find(tools.context, gone)
        (copy,) = [at for at in image.locations if at.store == "far"]
        lease = tools.images.doom_copy(tools.context, image, copy)
        tools.images.bury_copy(lease)  # as if its bytes had gone

    assert place.audit("--repair").findings == [("far", "orphan", gone, "kept")]
    done = place.audit("--repair", "--force")
    assert done.findings == [("far", "orphan", gone, "removed")]
    assert place.audit("--digest").code == 0
    assert place.manage("drain", "far", "--to", "near").code == 0
    assert place.held("near") == sorted([*kept, gone])


@pytest.mark.parametrize("way", [("near", "far"), ("far", "near")], ids="-".join)
def test_who_reads_slowly_gets_all_of_an_image_that_is_moved(
    start_daemon, tmp_path, far, way
):
    kind, options = far
    daemon = start_daemon(
        {
            "DEFAULT": {"enabled_backends": f"near:file, far:{kind}"},
            "glance_store": {"default_backend": "near"},
            "near": {"filesystem_store_datadir": tmp_path / "near"},
            "far": options,
        }
    )

    drain_while_it_is_read(daemon, *way)
