"""Images whose bytes lie on a web server: registered, looked at, read and let go."""

import json

import pytest

from tests.http.locations import DATA, OTHER, PATIENCE_S, Held, Service, sha
from tests.outbound import servers


def only_size(handler) -> None:
    """Tells how many bytes there are, and gives none."""
    if handler.command == "HEAD":
        servers.whole(DATA)(handler)
    else:
        servers.status(500)(handler)


# --- POST --------------------------------------------------------------------


def test_an_image_is_active_where_its_bytes_are_and_gets_its_digests(service, server):
    image = service.image()

    answer = service.register(image, server.url("/disk"))

    assert (answer.status_code, answer.content) == (202, b"")
    found = service.wait(image, status="active", os_hash_value=sha(DATA))
    assert (found["size"], found["checksum"]) == (len(DATA), sha(DATA, "md5"))
    assert found["direct_url"] == server.url("/disk")
    assert found["locations"] == [
        {"url": server.url("/disk"), "metadata": {"store": "web"}}
    ]
    assert service.owner.get(f"{image}/file").content == DATA


def test_an_image_is_active_once_its_bytes_are_what_the_client_said(service, server):
    image, held = service.image(), Held()
    server.paths["/held"] = held

    said = {"os_hash_algo": "sha256", "os_hash_value": sha(DATA, "sha256").upper()}
    assert service.register(image, server.url("/held"), **said).status_code == 202

    assert held.asked.wait(PATIENCE_S)
    assert service.show(image)["status"] == "importing"
    assert service.owner.get(f"{image}/file").status_code == 204
    held.released.set()
    found = service.wait(image, status="active")
    assert (found["os_hash_algo"], found["os_hash_value"]) == (
        "sha256",
        sha(DATA, "sha256"),
    )


def test_a_server_that_gives_its_head_and_no_more_is_unavailable(service, server):
    image = service.image()
    service.register(image, server.url("/disk"))
    service.wait(image, status="active", os_hash_value=sha(DATA))
    length = str(len(DATA)).encode()
    server.paths["/disk"] = servers.raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n"
    )

    answer = service.owner.get(f"{image}/file")

    assert answer.status_code == 503
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    assert "web" not in answer.text


@pytest.mark.parametrize("path", ["/other", "/missing", "/empty", "/broken"])
def test_weakness_48_nothing_is_left_of_a_location_that_is_not_as_said(
    service, server, path
):
    image = service.image()
    server.paths["/empty"] = servers.whole(b"")
    server.paths["/broken"] = servers.status(500)

    said = {"os_hash_algo": "sha512", "os_hash_value": sha(DATA)}
    assert service.register(image, server.url(path), **said).status_code == 202

    found = service.wait(image, status="queued")
    nothing = {"size": None, "checksum": None, "os_hash_value": None, "locations": []}
    assert nothing.items() <= found.items()
    # And it takes the right ones.
    assert service.register(image, server.url("/disk"), **said).status_code == 202
    service.wait(image, status="active")


def test_an_image_without_formats_stays_queued(service, server):
    bare = service.owner.post("/v2/images", json={"name": "bare"}).json()
    image = f"/v2/images/{bare['id']}"

    assert service.register(image, server.url("/disk")).status_code == 202

    service.wait_for_leases()
    assert service.show(image)["locations"] == []
    assert service.show(image)["status"] == "queued"


def test_only_one_of_two_registrations_counts(service, server):
    image, held = service.image(), Held()
    server.paths["/held"] = held
    said = {"os_hash_algo": "sha512", "os_hash_value": sha(DATA)}
    service.register(image, server.url("/held"), **said)

    second = service.register(image, server.url("/disk"))

    held.released.set()
    assert second.status_code == 409
    assert service.wait(image, status="active")["direct_url"].endswith("/held")


def test_deletion_ends_a_look_at_bytes(service, server):
    image, held = service.image(), Held()
    server.paths["/held"] = held
    service.register(image, server.url("/held"))
    assert held.asked.wait(PATIENCE_S)

    assert service.owner.delete(image).status_code == 204

    assert service.owner.get(image).status_code == 404
    held.released.set()
    service.wait_for_leases()
    assert service.owner.get(image).status_code == 404


def test_credentials_of_a_location_are_used_and_never_shown(service, server):
    image = service.image()
    url = server.url("/disk").replace("//", "//user:secret@")

    assert service.register(image, url).status_code == 403
    service.admin.post(f"{image}/locations", json={"url": url}).raise_for_status()

    found = service.wait(image, status="active", os_hash_value=sha(DATA))
    listed = service.owner.get("/v2/images").text
    told = service.admin.get(f"{image}/locations")
    assert told.json() == [{"url": server.url("/disk"), "metadata": {"store": "web"}}]
    assert "secret" not in json.dumps(found) + listed + told.text
    assert "secret" not in service.daemon.log.read_text()
    assert server.asked[-1].headers["Authorization"]


def test_web_addresses_are_read_beside_a_single_store(tmp_path, server):
    sections = {"glance_store": {"filesystem_store_datadir": tmp_path / "images"}}
    with Service(tmp_path, sections=sections, enabled_backends="").running() as service:
        image = service.image()

        assert service.register(image, server.url("/disk")).status_code == 202

        service.wait(image, status="active", os_hash_value=sha(DATA))
        assert service.owner.get(f"{image}/file").content == DATA
        assert service.owner.get("/v2/info/stores").status_code == 404


def test_signed_images_get_no_location(service, server):
    image = service.image(img_signature="c2ln")

    answers = (
        service.register(image, server.url("/disk")),
        service.add(image, server.url("/disk")),
    )

    for answer in answers:
        assert answer.status_code == 400
        assert "img_signature" in answer.text
    assert service.show(image)["status"] == "queued"


# --- PATCH -------------------------------------------------------------------


def test_a_patch_makes_an_image_active_and_adds_copies(service, server):
    image = service.image()

    first = service.add(image, server.url("/disk"))
    second = service.add(image, server.url("/copy"), metadata={"rack": "7"})

    assert (first.status_code, second.status_code) == (200, 200)
    assert (first.json()["status"], first.json()["size"]) == ("active", len(DATA))
    service.wait_for_leases()
    found = service.wait(image, os_hash_value=sha(DATA))
    assert [at["metadata"].get("rack") for at in found["locations"]] == [None, "7"]

    removed = service.patch(image, {"op": "remove", "path": "/locations/0"})

    assert removed.status_code == 200
    assert [at["url"] for at in removed.json()["locations"]] == [server.url("/copy")]
    assert service.owner.get(f"{image}/file").content == DATA


def test_weakness_47_what_a_client_says_is_compared_with_the_bytes(service, server):
    image = service.image()
    said = {
        "os_hash_algo": "sha512",
        "os_hash_value": sha(OTHER),
        "checksum": sha(OTHER, "md5"),
    }

    assert service.add(image, server.url("/disk"), validation_data=said).is_success

    # Nobody is to use it, and its owner sees that.
    service.wait(image, status="deactivated")
    assert service.owner.post(f"{image}/actions/reactivate").status_code == 204
    again = service.show(image)
    assert [again[name] for name in ("status", *said)] == ["active", None, None, None]


def test_a_copy_with_other_bytes_is_taken_away_again(service, server):
    image = service.image()
    service.add(image, server.url("/disk"))
    service.wait(image, os_hash_value=sha(DATA))

    assert service.add(image, server.url("/other")).is_success

    service.wait_for_leases()
    assert [at["url"] for at in service.show(image)["locations"]] == [
        server.url("/disk")
    ]


def test_digests_are_those_of_the_bytes_that_are_given_out(service, server):
    image = service.image()
    server.paths["/late"] = only_size
    service.register(image, server.url("/late"))
    service.wait(image, status="active")
    service.wait_for_leases()
    assert service.show(image)["os_hash_value"] is None
    server.paths["/late"] = servers.whole(DATA)

    assert service.add(image, server.url("/other")).is_success

    service.wait_for_leases()
    found, given = service.show(image), service.owner.get(f"{image}/file")
    assert [at["url"] for at in found["locations"]] == [server.url("/late")]
    assert found["os_hash_value"] == sha(given.content)
    assert given.headers["Content-MD5"] == sha(given.content, "md5")


@pytest.mark.parametrize("path", ["/missing", "/empty", "/short"])
def test_a_location_that_holds_no_copy_is_refused(service, server, path):
    image = service.image()
    service.add(image, server.url("/disk"))
    server.paths["/empty"] = servers.whole(b"")
    server.paths["/short"] = servers.ranged(DATA[:-1])

    assert service.add(image, server.url(path)).status_code == 400


def test_weakness_25_bytes_go_after_the_patch_is_done(service, server):
    image = service.image()
    stored = service.owner.put(
        f"{image}/file",
        content=DATA,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert stored.status_code == 204
    file = service.folder / "images" / image.rsplit("/", 1)[1]
    service.add(image, server.url("/disk"))
    service.wait_for_leases()

    refused = service.patch(
        image,
        {"op": "remove", "path": "/locations/0"},
        {"op": "remove", "path": "/locations/7"},
    )

    assert (refused.status_code, file.exists()) == (400, True)
    done = service.patch(image, {"op": "remove", "path": "/locations/0"})
    assert (done.status_code, file.exists()) == (200, False)
    assert service.owner.get(f"{image}/file").content == DATA


def nested(levels: int) -> dict:
    return {} if levels == 1 else {"a": nested(levels - 1)}


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        pytest.param(nested(16), 200, id="as-deep-as-may-be"),
        pytest.param(nested(17), 400, id="deeper"),
        pytest.param(nested(500), 400, id="deeper-than-json-goes"),
        pytest.param({"a": "x" * 16_376}, 200, id="as-long-as-may-be"),
        pytest.param({"a": "x" * 16_377}, 400, id="longer"),
    ],
)
def test_what_is_noted_at_a_location_has_bounds(service, server, metadata, status):
    image = service.image()

    answer = service.add(image, server.url("/disk"), metadata=metadata)

    assert answer.status_code == status
    if status == 200:
        (at,) = service.show(image)["locations"]
        assert at["metadata"] == {**metadata, "store": "web"}


def test_an_image_has_no_more_locations_than_allowed(service, server):
    image = service.image()
    for number in range(11):
        server.paths[f"/{number}"] = servers.ranged(DATA)

    answers = [service.add(image, server.url(f"/{n}")).status_code for n in range(11)]

    assert answers == [200] * 10 + [413]


# --- brought home ------------------------------------------------------------


def test_registered_bytes_are_brought_into_a_store_of_ours(
    service: Service, server: servers.Server
):
    image, lost = service.image(), service.image()
    server.paths["/lost"] = servers.ranged(DATA)
    for each, path in ((image, "/disk"), (lost, "/lost")):
        url = server.url(path).replace("//", "//user:secret@")
        service.admin.post(f"{each}/locations", json={"url": url}).raise_for_status()
        service.wait(each, status="active", os_hash_value=sha(DATA))
    service.wait_for_leases()
    del server.paths["/lost"]

    done = service.manage("stores", "drain", "web", "--to", "disk")

    assert done.returncode == 3
    lost_id = lost.rsplit("/", 1)[1]
    assert f"{lost_id}: failed (Store 'web' has no data" in done.stdout
    assert "secret" not in done.stdout + done.stderr
    (home,) = service.show(image)["locations"]
    assert home["metadata"] == {"store": "disk"}
    server.paths.clear()
    assert service.owner.get(f"{image}/file").content == DATA
    assert len(service.show(lost)["locations"]) == 1
    service.owner.delete(lost)


# --- kill -9 -----------------------------------------------------------------


@pytest.mark.slow
def test_what_was_looked_at_is_looked_at_again_after_a_crash(tmp_path, server):
    service, held = Service(tmp_path), Held()
    server.paths["/held"] = held
    said = {"os_hash_algo": "sha512", "os_hash_value": sha(DATA)}
    with service.running():
        waiting, pending = service.image(), service.image()
        service.register(waiting, server.url("/held"), **said)
        assert held.asked.wait(PATIENCE_S)
        held.asked.clear()
        service.register(pending, server.url("/held"))
        assert held.asked.wait(PATIENCE_S)
        assert service.show(waiting)["status"] == "importing"
        assert service.show(pending)["status"] == "active"
        service.daemon.kill()
        held.released.set()

        service.daemon.start()

        service.wait(waiting, status="active", os_hash_value=sha(DATA))
        service.wait(pending, status="active", os_hash_value=sha(DATA))
        service.wait_for_leases()
