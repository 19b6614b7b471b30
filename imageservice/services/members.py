"""Members, innermost: which projects an image is shared with (images.md §12)."""

from imageservice import errors
from imageservice.context import Context
from imageservice.db import members as rows
from imageservice.domain.image import Image
from imageservice.domain.member import Member
from imageservice.services.images import utcnow


class Members:
    def __init__(self, members: rows.Members, *, quota: int = -1) -> None:
        self._rows = members
        self._quota = quota

    def list(self, ctx: Context, image: Image) -> list[Member]:
        _require_shared(image)
        return self._rows.list(image.id)

    def show(self, ctx: Context, image: Image, member_id: str) -> Member:
        # Not shared is answered like not there, as published.
        is_shared = image.visibility == "shared"
        member = self._rows.get(image.id, member_id) if is_shared else None
        if member is None:
            raise errors.MemberNotFound(image_id=image.id, member_id=member_id)
        return member

    def add(self, ctx: Context, image: Image, member_id: str) -> Member:
        _require_shared(image)
        return self._rows.insert(image.id, member_id, self._quota, utcnow())

    def change(self, ctx: Context, image: Image, member_id: str, status: str) -> Member:
        _require_shared(image)
        member = self._rows.set_status(image.id, member_id, status, utcnow())
        if member is None:
            raise errors.MemberNotFound(image_id=image.id, member_id=member_id)
        return member

    def remove(self, ctx: Context, image: Image, member_id: str) -> None:
        _require_shared(image)
        if not self._rows.delete(image.id, member_id):
            raise errors.MemberNotFound(image_id=image.id, member_id=member_id)


def _require_shared(image: Image) -> None:
    """Rows of an image that is not shared now sleep until it is again (images.md §7)."""
    if image.visibility != "shared":
        raise errors.NotShared(image_id=image.id, visibility=image.visibility)
