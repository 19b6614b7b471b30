"""Handlers of images: list, create, show, change, delete, (de)activate."""

import datetime

from imageservice import errors
from imageservice.api import answer, creation, listing
from imageservice.api.answer import EMPTY, Answer, Headers
from imageservice.api.request import Request
from imageservice.domain import changes


def index(request: Request) -> Answer:
    """List the images that the caller may see."""
    listed = listing.parse(request.query(), request.surface.settings)
    page = request.images.list(request.ctx, listed.query)
    render, ctx = request.surface.render.image, request.ctx
    document: dict[str, object] = {
        "images": [render(image, ctx) for image in page.images],
        "first": listed.first(),
        "schema": "/v2/schemas/images",
    }
    # A full page means that there may be more; one that policy emptied ends the list.
    if page.is_full and page.images and page.last_id is not None:
        document["next"] = listed.next(page.last_id)
    return answer.json(document)


def create(request: Request) -> Answer:
    """Register an image; its data comes later."""
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    proposed = creation.build(request.body, request.ctx, now)
    image = request.images.create(request.ctx, proposed)
    headers: Headers = [("Location", request.url(f"/v2/images/{image.id}"))]
    settings = request.surface.settings
    if settings.import_methods:
        methods = ",".join(settings.import_methods)
        headers.append(("OpenStack-image-import-methods", methods))
    if settings.stores:
        stores = ",".join(store.id for store in settings.stores)
        headers.append(("OpenStack-image-store-ids", stores))
    document = request.surface.render.image(image, request.ctx)
    return answer.json(document, 201, headers)


def show(request: Request) -> Answer:
    """Show one image."""
    image = request.images.show(request.ctx, request.image)
    return answer.json(request.surface.render.image(image, request.ctx))


def update(request: Request) -> Answer:
    """Change attributes and properties, all or none of what a patch asks for."""
    _check_complete(request)
    image = request.images.update(request.ctx, request.image, request.body)
    return answer.json(request.surface.render.image(image, request.ctx))


def _check_complete(request: Request) -> None:
    """Refuse a patch after which a required property would be missing (✗16)."""
    required = request.surface.schema.required
    if not required:
        return
    try:
        after = changes.apply(request.image, request.body, is_admin=True)
    except errors.Error:
        return  # The rings say so, after what comes before.
    # Whether the image has what is hidden from the caller is not told to him.
    hidden = {n for n in required if not request.services.may_read(request.ctx, n)}
    try:
        request.surface.schema.check_complete(
            {*after._fields, *after.properties, *hidden}
        )
    except errors.BadRequest:
        # Whom policy does not let see the image is told that first.
        request.images.show(request.ctx, request.image)
        raise


def delete(request: Request) -> Answer:
    """Remove an image and its data."""
    request.images.delete(request.ctx, request.image)
    return EMPTY


def deactivate(request: Request) -> Answer:
    """Keep everybody but administrators from downloading an image."""
    request.images.deactivate(request.ctx, request.image)
    return EMPTY


def reactivate(request: Request) -> Answer:
    """Let an image be downloaded again."""
    request.images.reactivate(request.ctx, request.image)
    return EMPTY
