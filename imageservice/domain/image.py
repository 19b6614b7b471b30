"""What an image is: its attributes, its status machine, its visibilities.

Rules and names: contract images.md §5, §6 and §7.
"""

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

VISIBILITIES: tuple[str, ...] = ("community", "public", "private", "shared")

#: From each status, the statuses an image may go to (images.md §6).
TRANSITIONS: Mapping[str, frozenset[str]] = {
    "queued": frozenset({"saving", "uploading", "importing", "active", "deleted"}),
    "saving": frozenset({"active", "queued", "killed", "pending_delete", "deleted"}),
    "uploading": frozenset({"importing", "queued", "pending_delete", "deleted"}),
    "importing": frozenset({"active", "queued", "pending_delete", "deleted"}),
    "active": frozenset({"deactivated", "pending_delete", "deleted"}),
    "deactivated": frozenset({"active", "pending_delete", "deleted"}),
    "killed": frozenset({"deleted"}),
    "pending_delete": frozenset({"deleted", "active"}),
    "deleted": frozenset(),
}


def require_transition(frm: str, to: str) -> None:
    """Refuse a change of status that the table does not have: a bug, not a bad request."""
    if to not in TRANSITIONS[frm]:
        raise ValueError(f"no image goes from {frm} to {to}")


#: Statuses that no caller ever sees: the image is gone, its bytes may not be yet.
HIDDEN_STATUSES = frozenset({"killed", "pending_delete", "deleted"})

#: Attributes with columns of their own, as they are named on the wire. What is not
#: among them and not reserved is a custom property.
BASE_ATTRIBUTES = frozenset(
    {
        "id", "name", "status", "visibility", "protected", "os_hidden", "owner",
        "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value",
        "container_format", "disk_format", "min_disk", "min_ram", "tags",
        "created_at", "updated_at", "locations", "direct_url", "self", "file",
        "schema", "stores",
    }
)  # fmt: skip

#: What no caller may set, not even to null (images.md §8.2, §8.4).
READ_ONLY = frozenset(
    {
        "status", "size", "virtual_size", "checksum", "os_hash_algo",
        "os_hash_value", "created_at", "updated_at", "direct_url", "self", "file",
        "schema", "stores",
    }
)  # fmt: skip

#: Custom properties that tell how the bytes are signed: value, hash, key, certificate
#: (images.md §18.3).
SIGNATURE_PROPERTIES: tuple[str, ...] = (
    "img_signature",
    "img_signature_hash_method",
    "img_signature_key_type",
    "img_signature_certificate_uuid",
)

RESERVED_NAMES = frozenset({"location", "deleted", "deleted_at"})
RESERVED_PREFIX = "os_glance"


def is_reserved(name: str) -> bool:
    """Tell whether ``name`` is kept for the service itself (images.md §5.2)."""
    return name in RESERVED_NAMES or name.startswith(RESERVED_PREFIX)


#: A store's id and the store's own name for bytes in it.
Spot = tuple[str, str]


class Location(NamedTuple):
    """Where a copy of the bytes lies: a store's id and the store's own name for them."""

    store: str
    url: str
    metadata: Mapping[str, Any]  # JSON that the driver gave

    @property
    def spot(self) -> Spot:
        """What tells copies apart: two stores may have the same name for theirs."""
        return self.store, self.url


class Image(NamedTuple):
    """One image, as it stands in the database.

    A named tuple because lists make a thousand of them per request: built straight
    from a row, a seventh of the cost of a frozen dataclass (docs/adr/0003). Times are
    UTC without zone, as in the database. ``None`` means "not known" or "not given".
    """

    id: str
    name: str | None
    status: str
    visibility: str
    protected: bool
    os_hidden: bool
    owner: str | None
    size: int | None  # bytes
    virtual_size: int | None  # bytes
    checksum: str | None  # MD5, hex
    os_hash_algo: str | None
    os_hash_value: str | None  # hex
    container_format: str | None
    disk_format: str | None
    min_disk: int  # GiB
    min_ram: int  # MiB
    created_at: datetime.datetime
    updated_at: datetime.datetime
    version: int  # grows with every change of the image
    membership: str | None  # the viewer's own member status, if it is shared with him
    properties: Mapping[str, str | None]
    tags: tuple[str, ...]
    locations: tuple[Location, ...]
