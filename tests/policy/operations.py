"""The requests of the matrix's operations, and how one sees that they were done."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

PATCH = "application/openstack-images-v2.1-json-patch"
CONTENT = b"0123456789"

#: All rows that belong to one image, by table; empty when there are none.
Rows = Mapping[str, list[Mapping[str, Any]]]


class Request(NamedTuple):
    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"


class Asked(NamedTuple):
    """What an operation is asked of: an image, by the project ``caller``."""

    image: str
    visibility: str
    caller: str
    owner: str
    accepted: str
    answer: str  # what the caller, a member, answers: not what he has answered before


Done = Callable[[Asked, Rows], bool]


class Operation(NamedTuple):
    """``status`` is that of success; ``done`` tells that it was, None if it only reads.

    ``state`` names what the image must be before: see ``images.Images``.
    """

    request: Callable[[Asked], Request]
    status: int
    done: Done | None = None
    state: str = "active"


def _image(method: str, tail: str = "") -> Callable[[Asked], Request]:
    return lambda asked: Request(method, f"/v2/images/{asked.image}{tail}")


def _patch(*changes: tuple[str, str]) -> Callable[[Asked], Request]:
    body = json.dumps(
        [{"op": "replace", "path": path, "value": value} for path, value in changes]
    )
    return lambda asked: Request(
        "PATCH", f"/v2/images/{asked.image}", body.encode(), PATCH
    )


def _list(query: str = "") -> Operation:
    return Operation(lambda asked: Request("GET", f"/v2/images?limit=1000{query}"), 200)


def _reading(path: str) -> Operation:
    return Operation(lambda asked: Request("GET", path), 200)


def _member(
    method: str, who: str, body: Callable[[Asked], object] | None = None
) -> Callable[[Asked], Request]:
    def request(asked: Asked) -> Request:
        path = f"/v2/images/{asked.image}/members/{getattr(asked, who)}"
        sent = b"" if body is None else json.dumps(body(asked)).encode()
        return Request(method, path, sent)

    return request


def _column(name: str, value: object) -> Done:
    return lambda asked, rows: rows["images"][0][name] == value


def _answered(who: str, value: Callable[[Asked], str]) -> Done:
    return lambda asked, rows: _statuses(rows)[getattr(asked, who)] == value(asked)


def _statuses(rows: Rows) -> dict[str, str]:
    return {row["member_id"]: row["status"] for row in rows["image_members"]}


def _tags(rows: Rows) -> set[str]:
    return {row["value"] for row in rows["image_tags"]}


def _create(asked: Asked) -> Request:
    document = {"name": "new", "visibility": asked.visibility, "owner": asked.owner}
    return Request("POST", "/v2/images", json.dumps(document).encode())


def _add(asked: Asked) -> Request:
    path = f"/v2/images/{asked.image}/members"
    return Request("POST", path, b'{"member": "newcomer"}')


def _register(user: str = "") -> Operation:
    # An address, so that nobody is asked for a name.
    body = json.dumps({"url": f"http://{user}9.9.9.9/disk"}).encode()
    return Operation(
        lambda asked: Request("POST", f"/v2/images/{asked.image}/locations", body),
        202,
        lambda asked, rows: (
            [row["store"] for row in rows["image_locations"]] == ["web"]
        ),
        state="queued",
    )


def _relocate(**operation: object) -> Callable[[Asked], Request]:
    body = json.dumps([operation]).encode()
    return lambda asked: Request("PATCH", f"/v2/images/{asked.image}", body, PATCH)


OPERATIONS: Mapping[str, Operation] = {
    "show": Operation(_image("GET"), 200),
    "update": Operation(_patch(("/name", "renamed")), 200, _column("name", "renamed")),
    "empty update": Operation(_patch(), 200),
    "publicize": Operation(
        _patch(("/visibility", "public"), ("/name", "renamed")),
        200,
        lambda asked, rows: (
            _column("visibility", "public")(asked, rows)
            and _column("name", "renamed")(asked, rows)
        ),
    ),
    "communitize": Operation(
        _patch(("/visibility", "community")), 200, _column("visibility", "community")
    ),
    "privatize": Operation(
        _patch(("/visibility", "private")), 200, _column("visibility", "private")
    ),
    "delete": Operation(_image("DELETE"), 204, lambda asked, rows: not rows["images"]),
    "upload": Operation(
        lambda asked: Request(
            "PUT",
            f"/v2/images/{asked.image}/file",
            CONTENT,
            "application/octet-stream",
        ),
        204,
        lambda asked, rows: rows["images"][0]["size"] == len(CONTENT),
        state="queued",
    ),
    "download": Operation(_image("GET", "/file"), 200),
    "download from a store": Operation(_image("GET", "/file?prefer=main"), 200),
    "remove copy": Operation(
        lambda asked: Request("DELETE", f"/v2/stores/archive/{asked.image}"),
        204,
        lambda asked, rows: (
            [row["store"] for row in rows["image_locations"]] == ["main"]
        ),
        state="copied",
    ),
    "deactivate": Operation(
        _image("POST", "/actions/deactivate"), 204, _column("status", "deactivated")
    ),
    "reactivate": Operation(
        _image("POST", "/actions/reactivate"),
        204,
        _column("status", "active"),
        state="deactivated",
    ),
    "add tag": Operation(
        _image("PUT", "/tags/new"), 204, lambda asked, rows: "new" in _tags(rows)
    ),
    "remove tag": Operation(
        _image("DELETE", "/tags/old"), 204, lambda asked, rows: not _tags(rows)
    ),
    "fetch locations": Operation(_image("GET", "/locations"), 200),
    "register location": _register(),
    "register location with a password": _register("bob:secret@"),
    "set location": Operation(
        _relocate(
            op="add", path="/locations/-", value={"url": "file:///x", "metadata": {}}
        ),
        400,
    ),
    "remove location": Operation(_relocate(op="remove", path="/locations/7"), 400),
    "list members": Operation(_image("GET", "/members"), 200),
    "show the accepted member": Operation(_member("GET", "accepted"), 200),
    "show oneself": Operation(_member("GET", "caller"), 200),
    "add member": Operation(
        _add, 200, lambda asked, rows: _statuses(rows)["newcomer"] == "pending"
    ),
    "answer for the accepted member": Operation(
        _member("PUT", "accepted", lambda asked: {"status": "rejected"}),
        200,
        _answered("accepted", lambda asked: "rejected"),
    ),
    "answer for oneself": Operation(
        _member("PUT", "caller", lambda asked: {"status": asked.answer}),
        200,
        _answered("caller", lambda asked: asked.answer),
    ),
    "remove the accepted member": Operation(
        _member("DELETE", "accepted"),
        204,
        lambda asked, rows: asked.accepted not in _statuses(rows),
    ),
    "remove oneself": Operation(
        _member("DELETE", "caller"),
        204,
        lambda asked, rows: asked.caller not in _statuses(rows),
    ),
    "list": _list(),
    "list all": _list("&visibility=all"),
    "list public": _list("&visibility=public"),
    "list community": _list("&visibility=community"),
    "list shared": _list("&visibility=shared"),
    "list private": _list("&visibility=private"),
    "list accepted": _list("&member_status=accepted"),
    "list pending": _list("&member_status=pending"),
    "list rejected": _list("&member_status=rejected"),
    "list any answer": _list("&member_status=all"),
    "create": Operation(_create, 201),
    "stores in detail": _reading("/v2/info/stores/detail"),
    "schema": _reading("/v2/schemas/image"),
    "stores": _reading("/v2/info/stores"),
    "import": _reading("/v2/info/import"),
}
