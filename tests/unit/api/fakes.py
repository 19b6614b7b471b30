"""A service of one dict, and a client that calls the application as a server does."""

import datetime
import io
import json
from typing import NamedTuple

from imageservice import errors
from imageservice.api.app import CONTEXT, Api
from imageservice.api.request import Services
from imageservice.api.settings import Settings, Store
from imageservice.context import Context
from imageservice.domain import changes
from imageservice.domain.image import Image
from imageservice.domain.member import Member
from imageservice.domain.query import Page
from imageservice.services.interfaces import Download

ID = "5d6a2a3c-0d7b-4c2f-9d0e-0a1b2c3d4e5f"
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678900)
PROJECT = "p" * 32
PATCH = "application/openstack-images-v2.1-json-patch"
PATCH_20 = "application/openstack-images-v2.0-json-patch"

FAST = Store("fast", "file", 10, lambda: {"data_dir": "/data"}, is_default=True)
COLD = Store("cold", "s3", 0, dict, description="slow and large", is_read_only=True)


def an_image(**values):
    plain = {
        "id": ID, "name": "one", "status": "active", "visibility": "shared",
        "protected": False, "os_hidden": False, "owner": PROJECT, "size": 10,
        "virtual_size": 10, "checksum": "c" * 32, "os_hash_algo": "sha512",
        "os_hash_value": "d" * 128, "container_format": "bare", "disk_format": "raw",
        "min_disk": 0, "min_ram": 0, "created_at": NOW, "updated_at": NOW,
        "version": 1, "membership": None, "properties": {}, "tags": (), "locations": (),
    }  # fmt: skip
    return Image(**{**plain, **values})


class Chunks:
    def __init__(self, data):
        self.data, self.closed = data, False

    def __iter__(self):
        yield self.data

    def close(self):
        self.closed = True


class FakeImages:
    """Images in a dict; ``asked`` remembers the last operation and its arguments."""

    def __init__(self, *images, data=b"0123456789"):
        self.images = {image.id: image for image in images}
        self.data, self.asked, self.finds, self.opened = data, None, 0, []
        self.redirect = None

    def find(self, ctx, image_id):
        self.finds += 1
        if image_id not in self.images:
            raise errors.ImageNotFound(image_id=image_id)
        return self.images[image_id]

    def show(self, ctx, image):
        return image

    def list(self, ctx, query):
        self.asked = ("list", query)
        page = list(self.images.values())[: query.limit]
        full = query.limit > 0 and len(page) == query.limit
        return Page(page, full, page[-1].id if page else None)

    def create(self, ctx, image):
        self.images[image.id] = image
        return image

    def update(self, ctx, image, wanted):
        self.asked = ("update", wanted)
        return changes.apply(image, wanted, is_admin=ctx.is_admin)

    def upload(self, ctx, image, data, size, store):
        self.asked = ("upload", bytes(data.read(100)), size, store)

    def download(self, ctx, image, start, stop, prefer, *, may_redirect=False):
        self.asked = ("download", start, stop, tuple(prefer))
        if may_redirect and self.redirect:
            return self.redirect
        if image.size is None:
            raise errors.NoData(image_id=image.id)
        data = self.data[start:stop]
        self.opened.append(Chunks(data))
        return Download(len(data), self.opened[-1])

    def __getattr__(self, operation):
        if operation not in (
            "delete", "deactivate", "reactivate", "add_tag", "remove_tag",
            "remove_copy",
        ):  # fmt: skip
            raise AttributeError(operation)

        def remember(ctx, image, *args):
            self.asked = (operation, *args)

        return remember


class FakeLocations:
    def __init__(self):
        self.added = []

    def list(self, ctx, image):
        return image.locations

    def add(self, ctx, image, proposal):
        self.added.append(proposal)


class FakeMembers:
    def list(self, ctx, image):
        return [Member(image.id, "friend", "pending", NOW, NOW)]

    def show(self, ctx, image, member_id):
        return Member(image.id, member_id, "accepted", NOW, NOW)

    def add(self, ctx, image, member_id):
        return Member(image.id, member_id, "pending", NOW, NOW)

    def change(self, ctx, image, member_id, status):
        return Member(image.id, member_id, status, NOW, NOW)

    def remove(self, ctx, image, member_id):
        pass


class FakeStores:
    def __init__(self, stores):
        self.stores = stores

    def detail(self, ctx, target):
        return self.stores


class FakeUsage:
    """``shown`` are the uses; an upload has no room if ``is_full``."""

    def __init__(self):
        self.shown, self.is_full, self.asked = {}, False, None

    def show(self, ctx, target):
        return self.shown

    def room(self, ctx, target, size):
        self.asked = size
        if self.is_full:
            raise errors.ProjectLimit(
                limit="image_size_total", project_id=ctx.project_id, attempted=size,
                used=0, maximum=0, unit="bytes",
            )  # fmt: skip


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        return self.json["message"]


def an_environ(method, path, body=None, headers=None, **more):
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query,
        "SCRIPT_NAME": "", "SERVER_NAME": "images", "SERVER_PORT": "9292",
        "wsgi.url_scheme": "http", "HTTP_ACCEPT": "application/json",
    }  # fmt: skip
    if isinstance(body, list | dict):
        body = json.dumps(body).encode()
    environ["wsgi.input"] = io.BytesIO(body or b"")
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    for name, value in (headers or {}).items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else "HTTP_" + key] = value
    return {**environ, **more}


def call(app, environ):
    """Call an application as a server does, closing the body at the end."""
    started = []
    body = app(environ, lambda status, headers: started.append((status, headers)))
    data = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    [(status, headers)] = started
    assert len(dict(headers)) == len(headers), "a header came twice"
    return Reply(int(status.split()[0]), dict(headers), data)


class Client:
    """Speaks to an Api over fakes as one caller."""

    def __init__(self, *images, admin=False, project=PROJECT, **settings):
        self.images = FakeImages(*(images or (an_image(),)))
        self.locations = FakeLocations()
        self.usage = FakeUsage()
        built = Settings(**settings)
        services = Services(
            self.images,
            self.locations,
            FakeMembers(),
            FakeStores(built.stores),
            self.usage,
        )
        self.api = Api(services, built)
        self.ctx = Context(project_id=project, is_admin=admin, roles=["member"])

    def __call__(self, method, path, body=None, headers=None, **more):
        environ = an_environ(method, path, body, headers, **more)
        environ.setdefault(CONTEXT, self.ctx)
        return call(self.api, environ)

    def patch(self, *operations, media_type=PATCH):
        return self(
            "PATCH", f"/v2/images/{ID}", list(operations), {"Content-Type": media_type}
        )
