"""Handlers of image data: upload, download, one copy less (images.md §9.1, §9.2, §11.2)."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from imageservice import errors
from imageservice.api import body, ranges
from imageservice.api.answer import EMPTY, Answer, Headers
from imageservice.api.ranges import Window
from imageservice.api.request import Request, content_length
from imageservice.api.settings import PROXY
from imageservice.data.readers import Source
from imageservice.domain.image import Image
from imageservice.services.interfaces import Download, Redirect

OCTETS = "application/octet-stream"


#: A redirect holds a secret of short life.
NOT_KEPT: Headers = [("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer")]


class NotOctets(body.MediaUnknown):
    template = (
        body.MediaUnknown.template + f" Image data is sent with Content-Type {OCTETS}."
    )


class Announced(NamedTuple):
    """What the headers of an upload say; None means that they do not."""

    size: int | None  # bytes
    store: str | None


def announced(request: Request) -> Announced:
    """Read the headers of an upload, before the image is looked up."""
    media_type = body.media_type(request)
    if media_type != OCTETS:
        raise NotOctets(sent=media_type[:100])
    length = content_length(request.environ)
    # A size of 0 stands for "unknown" here.
    size = _expected_size(request) or length
    # Published in this order: a full project hears of it even if there is no such store
    # and no such image. The room itself is taken when the image is claimed.
    request.services.usage.room(request.ctx, None, size)
    return Announced(size, _wanted_store(request))


def _expected_size(request: Request) -> int:
    text = request.header("x-openstack-image-size")
    if text is None:
        return 0
    if not (text.isascii() and text.strip().isdigit() and len(text) < 20):
        raise errors.BadRequest(
            reason="x-openstack-image-size must be the number of bytes to come."
        )
    return int(text)


def _wanted_store(request: Request) -> str | None:
    """The store that the caller chose; there is a choice only with several stores."""
    stores = [store.id for store in request.surface.settings.stores]
    wanted = request.header("x-image-meta-store")
    if not stores or wanted is None:
        return None
    if wanted not in stores:
        raise errors.StoreUnknown(store=wanted, known=", ".join(stores))
    return wanted


def upload(request: Request) -> Answer:
    """Store the data of a queued image."""
    data = Source(request.environ["wsgi.input"])
    size, store = request.body
    request.images.upload(request.ctx, request.image, data, size, store)
    return EMPTY


def download(request: Request) -> Answer:
    """Send an image's data, or the range of it that the client asks for."""
    image, asked = request.image, _preferred(request)
    prefer = tuple(item for item in asked if item != PROXY)
    try:
        _check_preferred(request, prefer)
    except errors.Error:
        # Who may not download, or not choose, is told that first (images.md §9.2).
        with contextlib.suppress(errors.NoData):
            _open_nothing(request, prefer)
        raise
    etag = _etag(image)
    known = request.header("if-none-match")
    if etag and known is not None and ranges.is_known(known, etag):
        _open_nothing(request, prefer)
        return Answer(304, [("ETag", etag)])
    try:
        window = _wanted_window(request, etag)
    except errors.Error:
        _open_nothing(request, prefer)
        raise
    start, stop = window or (0, None)
    opened = request.images.download(
        request.ctx,
        image,
        start,
        stop,
        prefer,
        may_redirect=PROXY not in asked and not _is_ours_alone(request),
    )
    if isinstance(opened, Redirect):
        return Answer(307, [("Location", opened.url), *NOT_KEPT])
    headers = _headers(image, etag, opened.size)
    if window is None:
        return Answer(200, headers, opened.chunks)
    span = f"bytes {window.start}-{window.stop - 1}/{image.size}"
    return Answer(206, [*headers, ("Content-Range", span)], opened.chunks)


def _open_nothing(request: Request, prefer: Sequence[str]) -> None:
    """Let the rings refuse: who may not download learns nothing about the data."""
    opened = request.images.download(request.ctx, request.image, 0, 0, prefer)
    if isinstance(opened, Download):
        opened.chunks.close()


def _is_ours_alone(request: Request) -> bool:
    """Tell whether the headers ask for a range in a way that no store would understand."""
    # A store has ETags of its own: it would send all, which is not what was hoped for.
    return bool(request.header("if-range") or request.header("content-range"))


def _wanted_window(request: Request, etag: str | None) -> Window | None:
    """The range that the headers ask for, None for everything."""
    size = request.image.size
    if size is None:
        return None
    wanted = request.header("range")
    if wanted is None:
        old_form = request.header("content-range")
        if old_form is None:
            return None
        return ranges.parse_content_range(old_form, size)
    condition = request.header("if-range")
    if condition is not None and not (etag and ranges.is_same(condition, etag)):
        return None
    return ranges.parse_range(wanted, size)


def _headers(image: Image, etag: str | None, length: int) -> Headers:
    headers = [
        ("Content-Type", OCTETS),
        ("Content-Length", str(length)),
        ("Accept-Ranges", "bytes"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if image.checksum:
        # Hex and of the whole image, also on a range: clients verify with it.
        headers.append(("Content-MD5", image.checksum))
    if etag:
        headers.append(("ETag", etag))
    return headers


def _etag(image: Image) -> str | None:
    digest = image.os_hash_value or image.checksum
    return f'"{digest}"' if digest else None


def _preferred(request: Request) -> tuple[str, ...]:
    """What ``?prefer=a,b`` says: stores to read from first, and ``PROXY``."""
    asked = dict(request.query()).get("prefer", "").split(",")
    return tuple(item.strip() for item in asked if item.strip())


def _check_preferred(request: Request, prefer: Sequence[str]) -> None:
    stores = [store.id for store in request.surface.settings.stores]
    if prefer and not stores:
        raise errors.BadRequest(reason="'prefer' needs a service with several stores.")
    for store in prefer:
        if store not in stores:
            raise errors.StoreUnknown(store=store, known=", ".join(stores))


def enabled_store(request: Request) -> str:
    """Read the store in the path of a copy, before the image is looked up (§11.2).

    Raises NotFound unless there are several stores, StoreNotEnabled.
    """
    body.nothing(request)
    stores = [store.id for store in request.surface.settings.stores]
    if not stores:
        raise errors.NotFound()
    store = request.path["store"]
    if store not in stores:
        raise errors.StoreNotEnabled(store=store, known=", ".join(stores))
    return store


def remove_copy(request: Request) -> Answer:
    """Remove the copy of an image that lies in one of its stores."""
    request.images.remove_copy(request.ctx, request.image, request.body)
    return EMPTY
