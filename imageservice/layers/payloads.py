"""What events say of images, members and downloads (contract operations.md §4.3).

Locations are not among it: they are no business of those who listen.
"""

from datetime import UTC, datetime

from imageservice.context import Context
from imageservice.domain.image import Image
from imageservice.domain.member import Member

_IMAGE = (
    "id", "name", "status", "created_at", "updated_at", "min_disk", "min_ram",
    "protected", "os_hidden", "checksum", "os_hash_algo", "os_hash_value", "owner",
    "disk_format", "container_format", "size", "virtual_size", "visibility",
)  # fmt: skip

_PROGRESS = ("os_glance_importing_to_stores", "os_glance_failed_import")


def image(value: Image) -> dict[str, object]:
    said: dict[str, object] = {name: getattr(value, name) for name in _IMAGE}
    return said | {
        "is_public": value.visibility == "public",
        "properties": dict(value.properties),
        "tags": list(value.tags),
        "deleted": False,
        "deleted_at": None,
    }


def deleted(value: Image) -> dict[str, object]:
    return image(value) | {"status": "deleted", "deleted": True, "deleted_at": _now()}


def transfer(value: Image) -> dict[str, object]:
    """An image whose bytes are being moved: which stores are still to come, or failed."""
    progress = {
        name: [
            store for store in (value.properties.get(name) or "").split(",") if store
        ]
        for name in _PROGRESS
    }
    return image(value) | progress


def member(value: Member) -> dict[str, object]:
    return value._asdict() | {"deleted": False, "deleted_at": None}


def removed_member(
    image_id: str, member_id: str, value: Member | None
) -> dict[str, object]:
    """``value`` is the row as it was, None if it could not be read."""
    unknown: dict[str, object] = dict.fromkeys(Member._fields)
    known = unknown if value is None else value._asdict()
    return {
        **known,
        "image_id": image_id,
        "member_id": member_id,
        "deleted": True,
        "deleted_at": _now(),
    }


def sent(ctx: Context, value: Image, count: int) -> dict[str, object]:
    return {
        "bytes_sent": count,
        "image_id": value.id,
        "owner_id": value.owner,
        "receiver_tenant_id": ctx.project_id,
        "receiver_user_id": ctx.user_id,
    }


def _now() -> datetime:
    """UTC without zone, as the other times of a payload."""
    return datetime.now(UTC).replace(tzinfo=None)
