"""From the body of a create request to the image it proposes.

The order of the checks is the contract's (images.md §8.2).
"""

import datetime
import uuid
from typing import Any

from imageservice import errors
from imageservice.api import body, words
from imageservice.api.request import Request
from imageservice.context import Context
from imageservice.domain import image as images
from imageservice.domain.image import Image

#: Refused before anything else is looked at.
DISALLOWED = ("direct_url", "self", "file", "schema", "stores", "locations")

#: Columns of the proposed image that the client may fill.
SETTABLE = (
    "name", "visibility", "protected", "os_hidden", "container_format", "disk_format",
)  # fmt: skip


def proposed(request: Request) -> dict[str, Any]:
    """Read and check the document of a new image; what is returned may be built.

    Raises BadRequest, AttributeReadOnly, AttributeReserved.
    """
    document = body.json_object(request)
    for name in DISALLOWED:
        if name in document:
            raise errors.AttributeReadOnly(name=name)
    request.surface.schema.check(document, whole=True)
    value_max = request.surface.settings.image_property_value_max
    for name, value in document.items():
        if name in images.BASE_ATTRIBUTES:
            words.check_attribute(name, value)
        else:
            words.check_property(name, value, value_max)
    for name in document:
        if images.is_reserved(name):
            raise errors.AttributeReserved(name=name)
    for name in document:
        if name in images.READ_ONLY:
            raise errors.AttributeReadOnly(name=name)
    return document


def build(document: dict[str, Any], ctx: Context, now: datetime.datetime) -> Image:
    """Make the image that ``document`` proposes; ``now`` is UTC without zone.

    Raises OwnerForbidden when it would belong to another project than the caller's.
    """
    owner = document.get("owner", ctx.project_id) or None
    if owner != ctx.project_id and not ctx.is_admin:
        raise errors.OwnerForbidden(owner=owner)
    given = {name: document[name] for name in SETTABLE if name in document}
    properties = {
        name: value
        for name, value in document.items()
        if name not in images.BASE_ATTRIBUTES
    }
    blank = Image(
        id=document.get("id") or str(uuid.uuid4()),
        name=None,
        status="queued",
        visibility="shared",
        protected=False,
        os_hidden=False,
        owner=owner,
        size=None,
        virtual_size=None,
        checksum=None,
        os_hash_algo=None,
        os_hash_value=None,
        container_format=None,
        disk_format=None,
        # 1.0 is an integer in JSON Schema.
        min_disk=int(document.get("min_disk", 0)),
        min_ram=int(document.get("min_ram", 0)),
        created_at=now,
        updated_at=now,
        version=0,
        membership=None,
        properties=properties,
        tags=tuple(dict.fromkeys(document.get("tags", ()))),
        locations=(),
    )
    return blank._replace(**given)
