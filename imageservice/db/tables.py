"""All tables. What they mean to the rest of the program is said in ``domain/``.

There is no soft delete: rows go, and a row in ``deleted_images`` keeps the id from
ever being used again. ``alembic/versions`` creates what stands here; a test compares.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    text,
)

from imageservice.db.types import Key, Moment, Prose

# Any: Table takes options of every type among its keyword arguments.
MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_row_format": "DYNAMIC",
    "mysql_charset": "utf8mb4",
}

#: Characters of a property's value that its index holds. PostgreSQL takes no more than
#: 2704 bytes into an index row, InnoDB 3072; a character may take four.
HEAD = 190

metadata = MetaData()

images = Table(
    "images",
    metadata,
    Column("id", Key(36), primary_key=True),
    Column("name", Key(255)),
    Column("status", Key(30), nullable=False),
    Column("visibility", Key(16), nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("os_hidden", Boolean, nullable=False),
    Column("owner", Key(255)),
    Column("size", BigInteger),
    Column("virtual_size", BigInteger),
    Column("checksum", Key(32)),
    Column("os_hash_algo", Key(64)),
    Column("os_hash_value", Key(128)),
    Column("container_format", Key(64)),
    Column("disk_format", Key(64)),
    Column("min_disk", Integer, nullable=False),
    Column("min_ram", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    # Grows with every change of the image: the compare-and-swap of all writers.
    Column("version", Integer, nullable=False),
    # What a doomed image was, should no store let go of its bytes.
    Column("former_status", Key(30)),
    # Databases differ in where NULLs sort and in how a range treats them. What is
    # sorted by is never NULL: an unknown size comes before 0, no name before "".
    Column("sort_name", Key(255), Computed("coalesce(name, '')", persisted=True)),
    Column("sort_size", BigInteger, Computed("coalesce(size, -1)", persisted=True)),
    Column(
        "sort_disk_format",
        Key(64),
        Computed("coalesce(disk_format, '')", persisted=True),
    ),
    Column(
        "sort_container_format",
        Key(64),
        Computed("coalesce(container_format, '')", persisted=True),
    ),
    **MYSQL,
)

#: From sort key to column: what ORDER BY, keyset and equality work on.
SORTABLE = {
    "id": images.c.id,
    "created_at": images.c.created_at,
    "updated_at": images.c.updated_at,
    "status": images.c.status,
    "name": images.c.sort_name,
    "size": images.c.sort_size,
    "disk_format": images.c.sort_disk_format,
    "container_format": images.c.sort_container_format,
}

# Every list asks for one value of os_hidden, and walks one of these in page order.
Index("images_by_created_at", images.c.os_hidden, images.c.created_at, images.c.id)
Index(
    "images_by_owner_created_at",
    images.c.owner,
    images.c.os_hidden,
    images.c.created_at,
    images.c.id,
)
Index(
    "images_by_visibility_created_at",
    images.c.visibility,
    images.c.os_hidden,
    images.c.created_at,
    images.c.id,
)
for _key in ("updated_at", "name", "size", "status", "disk_format", "container_format"):
    _order = (SORTABLE[_key], images.c.created_at, images.c.id)
    Index(f"images_by_{_key}", images.c.os_hidden, *_order)
    Index(f"images_by_owner_{_key}", images.c.owner, images.c.os_hidden, *_order)
Index("images_by_checksum", images.c.checksum)
Index("images_by_os_hash_value", images.c.os_hash_value)


def _image_id(*, primary_key: bool = False) -> Column[str]:
    return Column(
        "image_id",
        Key(36),
        ForeignKey("images.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
    )


def _born_at() -> Column[Any]:
    """The image's ``created_at``, which never changes: lists by property or by tag
    walk their index in page order, however many images have the same value."""
    return Column("created_at", Moment, nullable=False)


image_properties = Table(
    "image_properties",
    metadata,
    _image_id(primary_key=True),
    Column("name", Key(255), primary_key=True),
    Column("value", Prose),
    # Equal to the value where that is shorter than HEAD characters.
    Column("head", Key(HEAD), Computed(f"substr(value, 1, {HEAD})", persisted=True)),
    _born_at(),
    **MYSQL,
)
Index(
    "image_properties_by_value",
    image_properties.c.name,
    image_properties.c.head,
    image_properties.c.created_at,
    image_properties.c.image_id,
)

image_tags = Table(
    "image_tags",
    metadata,
    _image_id(primary_key=True),
    Column("value", Key(255), primary_key=True),
    _born_at(),
    **MYSQL,
)
Index(
    "image_tags_by_value",
    image_tags.c.value,
    image_tags.c.created_at,
    image_tags.c.image_id,
)

image_members = Table(
    "image_members",
    metadata,
    _image_id(primary_key=True),
    Column("member_id", Key(255), primary_key=True),
    Column("status", Key(20), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    **MYSQL,
)
Index(
    "image_members_by_member",
    image_members.c.member_id,
    image_members.c.status,
    image_members.c.image_id,
)

image_locations = Table(
    "image_locations",
    metadata,
    # SQLite counts by itself only in a column of type INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    _image_id(),
    Column("store", Key(255), nullable=False),
    Column("url", Prose, nullable=False),
    Column("metadata", Prose, nullable=False),  # JSON
    # "active", or "pending_delete" while the copy's bytes are being removed: nobody reads
    # or shows it any more, and it is charged until they are gone.
    Column("status", Key(30), nullable=False, server_default="active"),
    **MYSQL,
)
Index("image_locations_by_image", image_locations.c.image_id, image_locations.c.id)

# The right to write or to remove an image's bytes; one holder at a time. ``purpose`` is
# what it is held for: domain/lease.py.
leases = Table(
    "leases",
    metadata,
    _image_id(primary_key=True),
    Column("token", Key(64), nullable=False),
    Column("worker", Key(255), nullable=False),
    Column("store", Key(255), nullable=False),
    Column("purpose", Key(16), nullable=False, server_default="upload"),
    Column("beat", BigInteger, nullable=False, server_default=text("0")),
    # Who is charged for an upload; NULL: nobody. Not always the image's owner: an admin
    # may give the image away meanwhile.
    Column("project_id", Key(255)),
    Column("reserved", BigInteger, nullable=False, server_default=text("0")),  # bytes
    **MYSQL,
)
Index("leases_by_token", leases.c.token, unique=True)

# What each project uses, counted by every transaction that changes it: db/usage.py.
project_usage = Table(
    "project_usage",
    metadata,
    Column("project_id", Key(255), primary_key=True),
    *(
        Column(name, BigInteger, nullable=False, server_default=text("0"))
        for name in ("images", "uploading", "bytes", "reserved")
    ),
    **MYSQL,
)

deleted_images = Table(
    "deleted_images",
    metadata,
    Column("id", Key(36), primary_key=True),
    Column("deleted_at", Moment, nullable=False),
    **MYSQL,
)
