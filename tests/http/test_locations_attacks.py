"""Locations that nobody should be able to register, and two writers at once.

Spellings: contract operations.md §8.2. Whatever is tried: nothing is connected to, nobody
learns anything, the image is as it was, and the daemon has made no mistake.
"""

import json
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.daemon import free_port
from tests.http.locations import DATA, PATCH, Service
from tests.outbound import servers
from tests.outbound.test_addresses import METADATA, THIS_MACHINE
from tests.outbound.test_targets import ODD

SECRET = "passw0rd"

#: Where all addresses are public ones, but for these, and every port is allowed.
OPEN = {"allowed_ports": ""}

LOOPBACKS = (
    "127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST", "localhost.", "ip6-localhost",
    "0.0.0.0", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::ffff:0.0.0.0]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0",
    "127.0.0.1.", "127.0.0.01", "user:passw0rd@127.0.0.1", "a@127.0.0.1", "127.0.0.1%2f",
    "%31%32%37.0.0.1", "127.0.0.1#@example.org", "example.org@127.0.0.1", "[::1%25lo]",
)  # fmt: skip

#: What lies in stores, here or elsewhere, and what is no store at all.
STORED = (
    "file:///etc/passwd", "FILE:///etc/passwd", "file://localhost/etc/passwd",
    "filesystem:///etc/passwd", "file:/etc/passwd", "file:///", "swift+config://ref/c/o",
    "SWIFT+CONFIG://ref/c/o", f"swift+https://u:{SECRET}@h/c/o", "swift://u:k@h/c/o",
    f"s3://AK:{SECRET}@objects/bucket/key", "s3+https://objects/bucket/key",
    "s3://bucket/key", "rbd://fsid/pool/image/snap", "rbd://image", "cinder://volume",
    "cinder://type/volume", "vsphere://host/folder/x", "sheepdog://h:7000:x",
    "memory://main/x", "os_glance_staging_store://x", "os_glance_tasks_store:///x",
    "jar:http://h/x", "data:,x", "unix:///run/x", "ldap://h/", "dict://h:11211/", "://", "x",
)  # fmt: skip


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Users may connect to any port, but not to this machine; an S3 store is down."""
    objects = {
        "s3_store_host": f"http://127.0.0.1:{free_port()}",
        "s3_store_access_key": "key",
        "s3_store_secret_key": SECRET,
        "s3_store_bucket": "bucket",
    }
    service = Service(
        tmp_path_factory.mktemp("guarded"),
        OPEN,
        {"objects": objects},
        enabled_backends="disk:file, web:http, objects:s3",
        http_retries=1,
    )
    with service.running():
        yield service
    log = service.daemon.log.read_text()
    assert "Traceback" not in log
    assert SECRET not in log


def register(service: Service, who: httpx.Client, url: str) -> tuple[str, list[int]]:
    """Try both ways; returns the image and the answers."""
    image = service.image()
    operation = {"op": "add", "path": "/locations/-"}
    wish = [{**operation, "value": {"url": url, "metadata": {}}}]
    answers = [
        who.post(f"{image}/locations", content=json.dumps({"url": url})),
        who.patch(image, content=json.dumps(wish), headers=PATCH),
    ]
    for answer in answers:
        assert SECRET not in answer.text
        assert "Traceback" not in answer.text
    return image, [answer.status_code for answer in answers]


def require_untouched(service: Service, images: list[str]) -> None:
    service.wait_for_leases()
    for image in images:
        found = service.show(image)
        assert (found["status"], found["locations"], found["size"]) == (
            "queued",
            [],
            None,
        )


@pytest.mark.parametrize("who", ["owner", "admin", "nova"])
def test_this_machine_hears_nothing_however_it_is_spelt(
    guarded: Service, server: servers.Server, who: str
) -> None:
    images = []
    for host in LOOPBACKS:
        url = f"http://{host}:{server.port}/disk"

        image, (posted, patched) = register(guarded, getattr(guarded, who), url)

        # A POST may be taken: names are looked up after it. 403: there is a user in it.
        refused = {400, 403} if "@" in host else {400}
        assert posted in refused | {202}, url
        assert patched in refused | {409}, url
        images.append(image)
    require_untouched(guarded, images)
    assert server.asked == []


def test_no_special_address_is_connected_to(guarded: Service) -> None:
    images = []
    for address in (*THIS_MACHINE.split(), *METADATA.split()):
        host = f"[{address}]" if ":" in address else address

        image, answers = register(guarded, guarded.owner, f"http://{host}/latest/")

        assert set(answers) <= {202, 400, 409}, address
        images.append(image)
    require_untouched(guarded, images)


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:{port}/disk",
        "http://0.0.0.0:{port}/disk",
        "http://[::ffff:127.0.0.1]:{port}/disk",
        "http://2130706433:{port}/disk",
        "//localhost:{port}/disk",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{port}/disk",
        "http://user:passw0rd@localhost:{port}/disk",
        "/away",
    ],
)
def test_a_server_that_may_be_asked_leads_nowhere_else(
    service: Service, server: servers.Server, target: str
) -> None:
    """Whose host is allowed; and the one to which it leads is not."""
    with servers.running() as other:
        other.paths["/disk"] = servers.ranged(DATA)
        server.paths["/away"] = servers.redirect(target.format(port=other.port))

        # One image for each way: the second would find the first one's lease.
        posted, patched = service.image(), service.image()
        answers = [
            service.register(posted, server.url("/away")).status_code,
            service.add(patched, server.url("/away")).status_code,
        ]

        assert answers == [202, 400]
        require_untouched(service, [posted, patched])
        assert other.asked == []
    assert SECRET not in service.daemon.log.read_text()


def test_odd_spellings_are_refused_at_once(guarded: Service) -> None:
    images = []
    for url in ODD:
        image, answers = register(guarded, guarded.admin, url)

        assert answers in ([400, 400], [403, 400]), ascii(url)
        images.append(image)
    require_untouched(guarded, images)


@pytest.mark.parametrize("who", ["owner", "admin", "nova"])
def test_what_lies_in_stores_cannot_be_named(guarded: Service, who: str) -> None:
    images = []
    for url in STORED:
        image, (posted, patched) = register(guarded, getattr(guarded, who), url)

        # Services may; the store is asked later, and is down.
        may = who == "nova" and url.startswith("s3") and "bucket" in url
        assert posted in {400, 403} | ({202} if may else set()), url
        assert patched in {400, 403} | ({409} if may else set()), url
        images.append(image)
    require_untouched(guarded, images)


def test_another_projects_bytes_cannot_be_named(guarded: Service) -> None:
    victim = guarded.image(visibility="private")
    content = {"Content-Type": "application/octet-stream"}
    guarded.owner.put(f"{victim}/file", content=DATA, headers=content)
    file = guarded.folder / "images" / victim.rsplit("/", 1)[1]
    spellings = [
        f"file://{file}",
        f"FILE://{file}",
        f"filesystem://{file}",
        f"file://{file.parent}/../images/{file.name}",
        f"http://u:p@127.0.0.1/{file}",
    ]

    for who in (guarded.owner, guarded.admin, guarded.nova):
        image, answers = register(guarded, who, spellings[0])
        assert set(answers) <= {400, 403}
        for url in spellings[1:]:
            register(guarded, who, url)
        guarded.wait_for_leases()
        assert guarded.owner.delete(image).status_code == 204

    assert guarded.owner.get(f"{victim}/file").content == DATA
    assert file.exists()


def test_bodies_that_make_no_sense(guarded: Service) -> None:
    image = guarded.image()
    unknown = f"/v2/images/{uuid.uuid4()}/locations"
    assert guarded.owner.post(unknown, json={"url": "http://h/"}).status_code == 404
    for body in (
        {},
        {"url": None},
        {"url": ["http://h/"]},
        {"url": "http://h/" + "x" * 10_000},
        {"url": "http://h/", "metadata": {}},
        {"url": "http://h/", "validation_data": None},
        {"url": "http://h/", "validation_data": {"os_hash_algo": "sha512"}},
        {
            "url": "http://h/",
            "validation_data": {"os_hash_algo": "\0", "os_hash_value": "00"},
        },
    ):
        answer = guarded.owner.post(f"{image}/locations", json=body)
        assert answer.status_code == 400, body
    require_untouched(guarded, [image])


# --- the same URL ------------------------------------------------------------


def test_the_same_url_is_taken_once(service: Service, server: servers.Server) -> None:
    image, url = service.image(), server.url("/disk")
    assert service.add(image, url).status_code == 200
    service.wait_for_leases()

    again = service.add(image, url, metadata={"rack": "8"})
    both = service.patch(
        service.image(),
        *(
            {"op": "add", "path": "/locations/-", "value": {"url": url, "metadata": {}}}
            for _ in range(2)
        ),
    )

    assert (again.status_code, both.status_code) == (400, 400)
    assert len(service.show(image)["locations"]) == 1


def test_an_address_that_two_images_have_outlives_one_of_them(
    service: Service, server: servers.Server
) -> None:
    images = [service.image() for _ in range(2)]
    for image in images:
        assert service.register(image, server.url("/disk")).status_code == 202
        service.wait(image, status="active")
    service.wait_for_leases()

    assert service.owner.delete(images[0]).status_code == 204

    assert service.owner.get(f"{images[1]}/file").content == DATA
    assert {asked.method for asked in server.asked} <= {"GET", "HEAD"}
