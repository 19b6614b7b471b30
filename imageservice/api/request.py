"""One request as the handlers see it, and what the API is built of."""

import urllib.parse
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from imageservice import errors
from imageservice.api.answer import Environ
from imageservice.api.render import Renderer
from imageservice.api.schema.checks import ImageSchema
from imageservice.api.settings import Settings, Store
from imageservice.context import Context
from imageservice.domain.image import Image
from imageservice.services import interfaces


class Stores(Protocol):
    """What can be asked about the stores themselves."""

    def detail(self, ctx: Context, target: None) -> tuple[Store, ...]:
        """Every store with its settings, for operators and services."""
        ...


def _anybody(_ctx: Context, _name: str) -> bool:
    return True


class Services(NamedTuple):
    """The outermost rings of every resource."""

    images: interfaces.Images
    locations: interfaces.Locations
    members: interfaces.Members
    stores: Stores
    usage: interfaces.Usage
    #: Whether a caller may know of a custom property; all may if none is protected.
    may_read: Callable[[Context, str], bool] = _anybody


class Surface(NamedTuple):
    """What is built once from the settings and used by every request."""

    settings: Settings
    schema: ImageSchema
    render: Renderer


class Request:
    """One request on its way: ``body`` is what the route's ``takes`` made of it.

    ``image`` is there on routes whose path names one; ``path`` holds the other parts.
    """

    __slots__ = ("body", "ctx", "environ", "image", "path", "services", "surface")

    # Any: each route's handler knows what its own ``takes`` returns.
    body: Any
    image: Image

    def __init__(
        self,
        environ: Environ,
        ctx: Context,
        path: dict[str, str],
        services: Services,
        surface: Surface,
    ) -> None:
        self.environ = environ
        self.ctx = ctx
        self.path = path
        self.services = services
        self.surface = surface

    @property
    def images(self) -> interfaces.Images:
        return self.services.images

    @property
    def members(self) -> interfaces.Members:
        return self.services.members

    def header(self, name: str) -> str | None:
        """One header's value, None if it was not sent; ``name`` in lower case."""
        value: str | None = self.environ.get("HTTP_" + name.upper().replace("-", "_"))
        return value

    def query(self) -> list[tuple[str, str]]:
        """The query's pairs in their order. Raises BadRequest for undecodable ones."""
        try:
            pairs = urllib.parse.parse_qsl(
                self.environ.get("QUERY_STRING", ""),
                keep_blank_values=True,
                errors="strict",
            )
        except ValueError:
            raise errors.BadRequest(reason="The query is not valid UTF-8.") from None
        if any("\0" in part for pair in pairs for part in pair):
            raise errors.BadRequest(reason="The query contains a NUL character.")
        return pairs

    def url(self, path: str) -> str:
        """The absolute URL of a path of this service, as the caller reaches it (✗3)."""
        return base_url(self.environ, self.surface.settings.public_endpoint) + path


def base_url(environ: Environ, public_endpoint: str | None) -> str:
    """The URL that this service is mounted at, without a slash at its end."""
    if public_endpoint:
        return public_endpoint.rstrip("/")
    host = environ.get("HTTP_HOST")
    if not host:
        host = f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    prefix = urllib.parse.quote(
        environ.get("SCRIPT_NAME", "").encode("latin-1"), safe="/~!$&'()*+,;=:@"
    )
    return f"{environ['wsgi.url_scheme']}://{host}{prefix.rstrip('/')}"


def has_body(environ: Environ) -> bool:
    """Tell whether bytes come with the request (images.md §1.1)."""
    if content_length(environ):
        return True
    coding = environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    return coding in ("chunked", "compress", "deflate", "gzip", "identity") and environ[
        "REQUEST_METHOD"
    ] in ("POST", "PUT", "PATCH")


def content_length(environ: Environ) -> int | None:
    """The body's length in bytes as announced, None if it was not."""
    text = environ.get("CONTENT_LENGTH")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise errors.BadRequest(reason="Content-Length must be a number of bytes.")
    return int(text)
