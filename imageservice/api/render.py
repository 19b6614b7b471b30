"""From domain values to the documents on the wire (contract images.md §5.1, §12)."""

from collections.abc import Iterable, Mapping
from typing import Any

from imageservice.api.settings import Settings
from imageservice.context import Context
from imageservice.domain.image import Image, Location
from imageservice.domain.location import redacted
from imageservice.domain.member import Member

Document = dict[str, Any]  # JSON; times are left to the serialiser


class Renderer:
    """Documents for one deployment; lists make a thousand of them per request."""

    def __init__(self, settings: Settings) -> None:
        self._weights: Mapping[str, int] = {s.id: s.weight for s in settings.stores}
        self._shows_url = settings.show_image_direct_url
        self._shows_all = settings.show_multiple_locations
        self._to_readers = settings.show_locations_to_readers
        self._shows_stores = bool(self._weights) or self._shows_url

    def image(self, image: Image, ctx: Context) -> Document:
        path = f"/v2/images/{image.id}"
        properties = image.properties
        if None in properties.values():
            properties = {k: "" if v is None else v for k, v in properties.items()}
        document = {
            # First, so that no property can stand for an attribute.
            **properties,
            "id": image.id,
            "name": image.name,
            "status": image.status,
            "visibility": image.visibility,
            "protected": image.protected,
            "os_hidden": image.os_hidden,
            "owner": image.owner,
            "size": image.size,
            "virtual_size": image.virtual_size,
            "checksum": image.checksum,
            "os_hash_algo": image.os_hash_algo,
            "os_hash_value": image.os_hash_value,
            "container_format": image.container_format,
            "disk_format": image.disk_format,
            "min_disk": image.min_disk,
            "min_ram": image.min_ram,
            "created_at": image.created_at,
            "updated_at": image.updated_at,
            "tags": image.tags,
            "self": path,
            "file": path + "/file",
            "schema": "/v2/schemas/image",
        }
        if self._shows_all or (self._shows_stores and image.locations):
            self._add_locations(document, image, ctx)
        return document

    def _add_locations(self, document: Document, image: Image, ctx: Context) -> None:
        places = image.locations
        if image.status == "deactivated" and not ctx.is_admin:
            places = ()
        if self._shows_all and self._may_see_urls(image, ctx):
            # In the order of adding: what a patch says counts by it.
            document["locations"] = self.locations(places)
        if not places:
            return
        # sorted() is stable: among equal weights the order of adding counts.
        ordered = sorted(places, key=self._by_weight)
        stores = [at.store for at in ordered if at.store]
        if self._weights and stores:
            document["stores"] = ",".join(stores)
        if self._shows_url and self._may_see_urls(image, ctx):
            document["direct_url"] = redacted(ordered[0].url)

    def locations(self, places: Iterable[Location]) -> list[Document]:
        """What is shown of locations, to those who may see them (images.md §14)."""
        return [
            {"url": redacted(at.url), "metadata": self._metadata(at)} for at in places
        ]

    def _metadata(self, at: Location) -> Mapping[str, Any]:
        if not self._weights:
            return at.metadata
        return {**at.metadata, "store": at.store}

    def _may_see_urls(self, image: Image, ctx: Context) -> bool:
        """Back-end addresses are not for every reader of a public image (✗49)."""
        owns = image.owner is not None and image.owner == ctx.project_id
        return (
            owns
            or ctx.is_admin
            or "service" in ctx.roles
            or "service" in ctx.service_roles
            or self._to_readers
        )

    def _by_weight(self, location: Location) -> int:
        return -self._weights.get(location.store, 0)

    def member(self, member: Member) -> Document:
        return {
            "member_id": member.member_id,
            "image_id": member.image_id,
            "status": member.status,
            "created_at": member.created_at,
            "updated_at": member.updated_at,
            "schema": "/v2/schemas/member",
        }
