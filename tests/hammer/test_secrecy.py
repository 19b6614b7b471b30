"""Another project's private image and an id that never was: no difference to be seen.

One thing is told, because an id is used once in the whole service (contract images.md
§8.2): who creates an image under an id that is taken gets 409.
"""

import hashlib
import http.client
import itertools
import json
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import pytest

from imageservice.api.routes import ROUTES, Route
from tests import people
from tests.conftest import daemons
from tests.daemon import Daemon
from tests.hammer import calls

DATA = b"nobody else's business"
NAME, SECRET, TAG = "plans-7f3a", "colour-7f3a", "tag-7f3a"
CHECKSUM = hashlib.md5(DATA).hexdigest()
MULTIHASH = hashlib.sha512(DATA).hexdigest()
HIDDEN = "0f9d6c1e-5a52-4c0e-9d0b-6f3e8b1f7a55"
UNKNOWN = "1e6a27b0-9d6c-4c3f-8f0e-7a51f2f3c9d4"
OWNER, PARTNER = calls.PROJECTS["owner"], calls.PROJECTS["partner"]

#: Headers that differ between any two answers.
EVER_NEW = {"date", "x-openstack-request-id"}

ON_IMAGES = [route for route in ROUTES if "{image_id}" in route.path]

REQUESTS = 200
TRIES = 6
NEAR = (0.8, 1.25)


class Seen(NamedTuple):
    """What a caller sees of an answer, with the id that he asked for made equal."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Caller:
    """Somebody with a connection that stays."""

    def __init__(self, daemon: Daemon, who: str) -> None:
        host, port = calls.address(daemon.url)
        self._connection = http.client.HTTPConnection(host, port, timeout=60)
        self._who = people.headers(who, calls.PROJECTS)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Seen:
        given = {"Accept": "application/json", **self._who, **(headers or {})}
        self._connection.request(method, path, body, given)
        answer = self._connection.getresponse()
        kept = [(n, v) for n, v in answer.getheaders() if n.lower() not in EVER_NEW]
        return Seen(answer.status, kept, answer.read())

    def close(self) -> None:
        self._connection.close()


Asking = tuple[str, str, bytes | None, Mapping[str, str]]


def _sent(route: Route, image_id: str, variant: Mapping[str, object]) -> Asking:
    """A request to a route, well-formed unless ``variant`` says otherwise."""
    path = route.path.format(
        store="main", image_id=image_id, tag=TAG, member_id=PARTNER
    )
    kind, body = "application/json", b""
    if route.method == "PATCH":
        kind = calls.PATCH
        body = json.dumps([{"op": "replace", "path": "/name", "value": "x"}]).encode()
    elif path.endswith("/file") and route.method == "PUT":
        kind, body = "application/octet-stream", b"other"
    elif path.endswith("/members") and route.method == "POST":
        body = json.dumps({"member": "somebody"}).encode()
    elif path.endswith("/locations") and route.method == "POST":
        body = json.dumps({"url": "http://example.com/"}).encode()
    elif "/members/" in path and route.method == "PUT":
        body = json.dumps({"status": "accepted"}).encode()
    given = variant.get("body", body)
    assert isinstance(given, bytes)
    headers = {"Content-Type": kind} if given else {}
    extra = variant.get("headers", {})
    assert isinstance(extra, dict)
    query = str(variant.get("query", ""))
    return route.method, path + query, given or None, headers | extra


def _patched(*operations: object) -> dict[str, object]:
    return {"body": json.dumps(operations).encode()}


FAR = {"url": "http://example.com/", "metadata": {}}

#: For each operation the ways in which it may go wrong later than "there is none".
VARIANTS: Mapping[str, list[dict[str, object]]] = {
    "images.update": [
        _patched(),
        _patched({"op": "replace", "path": f"/{SECRET}", "value": "x"}),
        _patched({"op": "remove", "path": f"/{SECRET}"}),
        _patched({"op": "add", "path": "/owner", "value": "x"}),
        _patched({"op": "replace", "path": "/disk_format", "value": "iso"}),
        _patched({"op": "add", "path": "/visibility", "value": "public"}),
        _patched({"op": "add", "path": "/tags", "value": [str(n) for n in range(200)]}),
        _patched({"op": "remove", "path": "/required"}),
        _patched({"op": "replace", "path": "/status", "value": "active"}),
        _patched({"op": "replace", "path": "/locations", "value": []}),
        _patched({"op": "remove", "path": "/locations/0"}),
        _patched({"op": "add", "path": "/locations/-", "value": FAR}),
        {"body": b"["},
    ],
    "locations.add": [
        {"body": json.dumps({"url": "memory://main/key"}).encode()},
        {"body": json.dumps({"url": "http://127.0.0.1/"}).encode()},
    ],
    "images.download": [
        {"headers": {"Range": "bytes=0-3"}},
        {"headers": {"Range": "bytes=900-"}},
        {"headers": {"If-None-Match": f'"{MULTIHASH}"'}},
        {"query": "?prefer=main"},
        {"query": "?prefer=nowhere"},
    ],
    "images.upload": [
        {"headers": {"x-openstack-image-size": str(2**62)}},
        {"headers": {"x-openstack-image-size": "3"}},
    ],
    "members.add": [
        {"body": json.dumps({"member": PARTNER}).encode()},
        {"body": b"{}"},
    ],
}

CASES = [
    pytest.param(route, variant, id=f"{route.method} {route.path} {number}")
    for route in ON_IMAGES
    for number, variant in enumerate([{}, *VARIANTS.get(str(route.operation), [])])
]


def _neutral(seen: Seen, *ids: str) -> Seen:
    body = seen.body
    for image_id in ids:
        body = body.replace(image_id.encode(), b"ID")
    return seen._replace(body=body)


# --- an image that is not the caller's -----------------------------------------------


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemons(tmp_path_factory.mktemp("secrecy")) as start:
        yield start()


@pytest.fixture(scope="module")
def stranger(daemon: Daemon) -> Iterator[Caller]:
    caller = Caller(daemon, "stranger")
    yield caller
    caller.close()


QUERIES = (
    "", "visibility=all", "visibility=private", "visibility=shared", "os_hidden=true",
    "member_status=all", "member_status=pending", "member_status=rejected",
    "visibility=shared&member_status=all", "limit=1", "limit=1&visibility=all",
    f"id={HIDDEN}", f"id=in:{HIDDEN},{UNKNOWN}", f"name={NAME}", f"name=in:{NAME},x",
    f"owner={OWNER}", f"owner={OWNER}&visibility=all", f"size={len(DATA)}",
    f"size_min={len(DATA)}", f"size_max={len(DATA)}", f"checksum={CHECKSUM}",
    f"os_hash_value={MULTIHASH}", "os_hash_algo=sha512", f"tag={TAG}", f"{SECRET}=x",
    f"{SECRET}=x&visibility=all", "protected=false", "status=active", "min_ram_min=7",
    "disk_format=raw", "created_at=gte:2020-01-01", "updated_at=gt:2020-01-01T00:00:00Z",
    f"marker={HIDDEN}", f"marker={HIDDEN}&limit=0", f"marker={HIDDEN}&name=x",
    f"marker={HIDDEN}&sort=size:asc", f"marker={HIDDEN}&{SECRET}=x",
    *(f"sort={key}:asc&visibility=all" for key in ("name", "size", "status", "id", "updated_at")),
)  # fmt: skip


@pytest.fixture(scope="module")
def before(daemon: Daemon, stranger: Caller) -> dict[str, Seen]:
    """The answers to QUERIES before there were images that are hidden from the stranger.

    They are there when it returns: one that is private, with members and all, and one
    that is shared with somebody else.
    """
    for visibility, who in [("private", "stranger"), ("public", "admin")]:
        image = {"name": "m", "visibility": visibility}
        made = calls.call(daemon.url, "POST", "/v2/images", image, who=who)
        assert made.status == 201
    answers = {query: stranger.ask("GET", f"/v2/images?{query}") for query in QUERIES}
    for image_id in (HIDDEN, str(uuid.uuid4())):
        path = calls.create(
            daemon.url, id=image_id, name=NAME, tags=[TAG], min_ram=7, **{SECRET: "x"}
        )
        assert calls.put(daemon.url, path, DATA) == 204
        member = {"member": PARTNER}
        assert calls.call(daemon.url, "POST", f"{path}/members", member).status == 200
    private = [{"op": "replace", "path": "/visibility", "value": "private"}]
    patched = calls.call(daemon.url, "PATCH", f"/v2/images/{HIDDEN}", private)
    assert patched.status == 200
    return answers


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize(("route", "variant"), CASES)
@pytest.mark.parametrize("who", ["stranger", "partner"])
def test_a_hidden_image_is_answered_as_one_that_never_was(
    daemon: Daemon, who: str, route: Route, variant: Mapping[str, object]
) -> None:
    caller, unknown = Caller(daemon, who), str(uuid.uuid4())

    hidden = caller.ask(*_sent(route, HIDDEN, variant))
    absent = caller.ask(*_sent(route, unknown, variant))
    caller.close()

    assert 400 <= hidden.status < 500
    assert _neutral(hidden, HIDDEN) == _neutral(absent, unknown)


@pytest.mark.parametrize("query", QUERIES)
def test_a_list_is_the_same_with_and_without_hidden_images(
    stranger: Caller, before: dict[str, Seen], query: str
) -> None:
    assert stranger.ask("GET", f"/v2/images?{query}") == before[query]


@pytest.mark.usefixtures("before")
def test_a_hidden_image_is_as_bad_a_marker_as_one_that_never_was(
    stranger: Caller,
) -> None:
    unknown = str(uuid.uuid4())

    hidden = stranger.ask("GET", f"/v2/images?marker={HIDDEN}")
    absent = stranger.ask("GET", f"/v2/images?marker={unknown}")

    assert hidden.status == 400
    assert _neutral(hidden, HIDDEN) == _neutral(absent, unknown)


@pytest.mark.usefixtures("before")
def test_an_id_that_is_taken_is_the_one_thing_that_is_told(daemon: Daemon) -> None:
    taken = calls.call(daemon.url, "POST", "/v2/images", {"id": HIDDEN}, who="stranger")

    assert taken.status == 409


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize(
    ("method", "tail"),
    [("GET", ""), ("GET", "/file"), ("GET", "/members"), ("PATCH", ""), ("DELETE", "")],
    ids=["show", "download", "members", "update", "delete"],
)
def test_a_hidden_image_takes_as_long_as_one_that_never_was(
    stranger: Caller, method: str, tail: str
) -> None:
    body = b"[]" if method == "PATCH" else None
    headers = {"Content-Type": calls.PATCH} if body else {}
    unknown = str(uuid.uuid4())

    def ask(image_id: str) -> Callable[[], Seen]:
        path = f"/v2/images/{image_id}{tail}"
        return lambda: stranger.ask(method, path, body, headers)

    _assert_alike(ask(HIDDEN), ask(unknown))


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize(
    ("hidden", "absent"),
    [
        (f"marker={HIDDEN}", f"marker={uuid.uuid4()}"),
        (f"id={HIDDEN}", f"id={uuid.uuid4()}"),
        (f"name={NAME}", "name=plans-7f3b"),
        (f"checksum={CHECKSUM}", f"checksum={CHECKSUM[::-1]}"),
        (f"tag={TAG}", "tag=tag-7f3b"),
        (f"{SECRET}=x", f"{SECRET}=y"),
    ],
    ids=["marker", "id", "name", "checksum", "tag", "property"],
)
def test_a_list_takes_as_long_with_what_hidden_images_have(
    stranger: Caller, hidden: str, absent: str
) -> None:
    def ask(query: str) -> Callable[[], Seen]:
        return lambda: stranger.ask("GET", f"/v2/images?{query}")

    _assert_alike(ask(hidden), ask(absent))


def _assert_alike(hidden: Callable[[], Seen], absent: Callable[[], Seen]) -> None:
    """Compare medians of requests made in turn, again if the machine was busy."""
    ratios = []
    for _ in range(TRIES):
        ratios.append(_ratio(hidden, absent))
        if NEAR[0] <= ratios[-1] <= NEAR[1]:
            return
    pytest.fail(f"it takes {ratios} times as long")


def _ratio(hidden: Callable[[], Seen], absent: Callable[[], Seen]) -> float:
    times: tuple[list[float], list[float]] = ([], [])
    # In turn, and each of them first every other time.
    for number in itertools.chain.from_iterable([(0, 1), (1, 0)] * (REQUESTS // 2)):
        begun = time.perf_counter()
        (hidden, absent)[number]()
        times[number].append(time.perf_counter() - begun)
    return statistics.median(times[0]) / statistics.median(times[1])


# --- an image that the operator's own rules hide -------------------------------------

#: What every one may download is not hidden by get_image alone: the rules are asked
#: one by one (contract images.md §2.3).
UNDER_RULES = [case for case in CASES if case.values[0].operation != "images.download"]


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Only seers see images; a property is required, and another one is protected."""
    folder = tmp_path_factory.mktemp("ruled")
    files = folder / "daemon-0"
    files.mkdir()
    (files / "policy.yaml").write_text('get_image: "role:admin or role:seer"\n')
    (files / "schema-image.json").write_text(
        json.dumps({"properties": {"required": {}}, "required": ["required"]})
    )
    (files / "protections.ini").write_text(
        f"[^{SECRET}$]\ncreate = @\nread = admin\nupdate = admin\ndelete = admin\n"
        "[.*]\ncreate = @\nread = @\nupdate = @\ndelete = @\n"
    )
    options = {"DEFAULT": {"property_protection_file": "protections.ini"}}
    with daemons(folder) as start:
        yield start(options)


@pytest.fixture(scope="module")
def ruled_images(ruled: Daemon) -> dict[str, str]:
    """An image of each visibility, shared with the partner where that is possible."""
    made = {}
    for visibility in ("private", "shared", "community", "public"):
        made[visibility] = str(uuid.uuid4())
        image = {
            "id": made[visibility],
            "visibility": visibility,
            "owner": OWNER,
            "tags": [TAG],
            SECRET: "x",
            "required": "x",
        }
        answer = calls.call(ruled.url, "POST", "/v2/images", image, who="admin")
        assert answer.status == 201, answer
    path = f"/v2/images/{made['shared']}/members"
    for member in (PARTNER, "somebody-else"):
        body = {"member": member}
        assert calls.call(ruled.url, "POST", path, body, who="admin").status == 200
    return made


@pytest.mark.parametrize("visibility", ["private", "shared", "community", "public"])
@pytest.mark.parametrize(("route", "variant"), UNDER_RULES)
def test_an_image_hidden_by_a_rule_is_answered_as_one_that_never_was(
    ruled: Daemon,
    ruled_images: dict[str, str],
    visibility: str,
    route: Route,
    variant: Mapping[str, object],
) -> None:
    caller, unknown = Caller(ruled, "partner"), str(uuid.uuid4())
    image_id = ruled_images[visibility]
    if "{member_id}" in route.path:
        route = route._replace(
            path=route.path.format(image_id="{image_id}", member_id="somebody-else")
        )

    hidden = caller.ask(*_sent(route, image_id, variant))
    absent = caller.ask(*_sent(route, unknown, variant))
    caller.close()

    assert 400 <= hidden.status < 500
    assert _neutral(hidden, image_id) == _neutral(absent, unknown)
