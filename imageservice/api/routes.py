"""THE TABLE OF THE API: every path, what it takes, who handles it.

A path's methods are what stands here; every other one is answered 405 with a true
Allow, without rows of their own. Requests are matched in ``app.py``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from imageservice.api import (
    body,
    creation,
    data,
    discovery,
    images,
    locations,
    members,
    patch,
    tags,
)
from imageservice.api.answer import Answer
from imageservice.api.request import Request
from imageservice.api.schema import documents


class Route(NamedTuple):
    """One method on one path.

    ``operation`` names the operation of services/interfaces.py that the handler calls,
    None if it calls none: then a valid token is all it needs. ``takes`` reads and
    checks the body before the target is looked up; what it returns is the request's
    ``body``. ``status`` is the one of success, ``since`` the minor version that
    introduced it. ``streams`` marks a body that can be read only once.
    """

    method: str
    path: str
    handler: Callable[[Request], Answer]
    operation: str | None
    takes: Callable[[Request], Any] = body.nothing
    status: int = 200
    since: str = "2.0"
    streams: bool = False


IMAGE = "/v2/images/{image_id}"
MEMBER = IMAGE + "/members/{member_id}"
TAG = IMAGE + "/tags/{tag}"


def _schema(name: str, document: documents.Document, since: str) -> Route:
    handler = discovery.fixed_schema(document)
    return Route("GET", f"/v2/schemas/{name}", handler, None, since=since)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v2", discovery.slash, None, body.anything, 302),
    # images
    Route("GET", "/v2/images", images.index, "images.list", body.anything),
    Route("POST", "/v2/images", images.create, "images.create", creation.proposed, 201),
    Route("GET", IMAGE, images.show, "images.show"),
    Route("PATCH", IMAGE, images.update, "images.update", patch.requested),
    Route("DELETE", IMAGE, images.delete, "images.delete", status=204),
    Route(
        "POST", IMAGE + "/actions/deactivate", images.deactivate, "images.deactivate",
        status=204, since="2.3",
    ),
    Route(
        "POST", IMAGE + "/actions/reactivate", images.reactivate, "images.reactivate",
        status=204, since="2.3",
    ),
    # data
    Route(
        "PUT", IMAGE + "/file", data.upload, "images.upload", data.announced, 204,
        streams=True,
    ),
    Route("GET", IMAGE + "/file", data.download, "images.download"),
    Route(
        "DELETE", "/v2/stores/{store}/{image_id}", data.remove_copy,
        "images.remove_copy", data.enabled_store, 204, since="2.10",
    ),
    # tags
    Route("PUT", TAG, tags.add, "images.add_tag", status=204),
    Route("DELETE", TAG, tags.remove, "images.remove_tag", status=204),
    # locations
    Route("GET", IMAGE + "/locations", locations.index, "locations.list", since="2.17"),
    Route(
        "POST", IMAGE + "/locations", locations.add, "locations.add", locations.proposed,
        202, since="2.17",
    ),
    # members
    Route("GET", IMAGE + "/members", members.index, "members.list", since="2.1"),
    Route(
        "POST", IMAGE + "/members", members.add, "members.add", members.new_member,
        since="2.1",
    ),
    Route("GET", MEMBER, members.show, "members.show", since="2.1"),
    Route(
        "PUT", MEMBER, members.change, "members.change", members.new_status, since="2.1"
    ),
    Route("DELETE", MEMBER, members.remove, "members.remove", status=204, since="2.1"),
    # discovery
    Route("GET", "/v2/info/import", discovery.import_methods, None, since="2.6"),
    Route("GET", "/v2/info/stores", discovery.stores, None, since="2.8"),
    Route(
        "GET", "/v2/info/stores/detail", discovery.stores_detail, "stores.detail",
        since="2.15",
    ),
    Route(
        "GET", "/v2/info/usage", discovery.usage, "usage.show", body.anything,
        since="2.13",
    ),
    # schemas
    Route("GET", "/v2/schemas/image", discovery.image_schema, None),
    Route("GET", "/v2/schemas/images", discovery.images_schema, None),
    _schema("member", documents.MEMBER, "2.1"),
    _schema("members", documents.collection("members", documents.MEMBER), "2.1"),
    _schema("task", documents.TASK, "2.2"),
    _schema("tasks", documents.collection("tasks", documents.TASK_STUB), "2.2"),
)  # fmt: skip
