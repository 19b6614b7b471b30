"""Images with their properties, tags, members and locations; leases; tombstones.

Revision: 0001_images, the first. What the tables are for stands in ``db/tables.py``;
this is what they were when the revision was made, and never changes.
"""

import sqlalchemy as sa
from alembic import op

from imageservice.db.types import Key, Moment, Prose

revision = "0001_images"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deleted_images",
        sa.Column("id", Key(length=36), nullable=False),
        sa.Column("deleted_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mysql_row_format="DYNAMIC",
    )
    op.create_table(
        "images",
        sa.Column("id", Key(length=36), nullable=False),
        sa.Column("name", Key(length=255), nullable=True),
        sa.Column("status", Key(length=30), nullable=False),
        sa.Column("visibility", Key(length=16), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("os_hidden", sa.Boolean(), nullable=False),
        sa.Column("owner", Key(length=255), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("virtual_size", sa.BigInteger(), nullable=True),
        sa.Column("checksum", Key(length=32), nullable=True),
        sa.Column("os_hash_algo", Key(length=64), nullable=True),
        sa.Column("os_hash_value", Key(length=128), nullable=True),
        sa.Column("container_format", Key(length=64), nullable=True),
        sa.Column("disk_format", Key(length=64), nullable=True),
        sa.Column("min_disk", sa.Integer(), nullable=False),
        sa.Column("min_ram", sa.Integer(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("former_status", Key(length=30), nullable=True),
        sa.Column(
            "sort_name",
            Key(length=255),
            sa.Computed("coalesce(name, '')", persisted=True),
            nullable=True,
        ),
        sa.Column(
            "sort_size",
            sa.BigInteger(),
            sa.Computed("coalesce(size, -1)", persisted=True),
            nullable=True,
        ),
        sa.Column(
            "sort_disk_format",
            Key(length=64),
            sa.Computed("coalesce(disk_format, '')", persisted=True),
            nullable=True,
        ),
        sa.Column(
            "sort_container_format",
            Key(length=64),
            sa.Computed("coalesce(container_format, '')", persisted=True),
            nullable=True,
        ),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mysql_row_format="DYNAMIC",
    )
    op.create_index("images_by_checksum", "images", ["checksum"], unique=False)
    op.create_index(
        "images_by_container_format",
        "images",
        ["os_hidden", "sort_container_format", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_created_at",
        "images",
        ["os_hidden", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_disk_format",
        "images",
        ["os_hidden", "sort_disk_format", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_name",
        "images",
        ["os_hidden", "sort_name", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_os_hash_value", "images", ["os_hash_value"], unique=False
    )
    op.create_index(
        "images_by_owner_container_format",
        "images",
        ["owner", "os_hidden", "sort_container_format", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_owner_created_at",
        "images",
        ["owner", "os_hidden", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_owner_disk_format",
        "images",
        ["owner", "os_hidden", "sort_disk_format", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_owner_name",
        "images",
        ["owner", "os_hidden", "sort_name", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_owner_size",
        "images",
        ["owner", "os_hidden", "sort_size", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_owner_status",
        "images",
        ["owner", "os_hidden", "status", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_owner_updated_at",
        "images",
        ["owner", "os_hidden", "updated_at", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_size",
        "images",
        ["os_hidden", "sort_size", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_status",
        "images",
        ["os_hidden", "status", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_updated_at",
        "images",
        ["os_hidden", "updated_at", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "images_by_visibility_created_at",
        "images",
        ["visibility", "os_hidden", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "image_locations",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("image_id", Key(length=36), nullable=False),
        sa.Column("store", Key(length=255), nullable=False),
        sa.Column("url", Prose(), nullable=False),
        sa.Column("metadata", Prose(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mysql_row_format="DYNAMIC",
    )
    op.create_index(
        "image_locations_by_image", "image_locations", ["image_id", "id"], unique=False
    )
    op.create_table(
        "image_members",
        sa.Column("image_id", Key(length=36), nullable=False),
        sa.Column("member_id", Key(length=255), nullable=False),
        sa.Column("status", Key(length=20), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("image_id", "member_id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mysql_row_format="DYNAMIC",
    )
    op.create_index(
        "image_members_by_member",
        "image_members",
        ["member_id", "status", "image_id"],
        unique=False,
    )
    op.create_table(
        "image_properties",
        sa.Column("image_id", Key(length=36), nullable=False),
        sa.Column("name", Key(length=255), nullable=False),
        sa.Column("value", Prose(), nullable=True),
        sa.Column(
            "head",
            Key(length=190),
            sa.Computed("substr(value, 1, 190)", persisted=True),
            nullable=True,
        ),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("image_id", "name"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mysql_row_format="DYNAMIC",
    )
    op.create_index(
        "image_properties_by_value",
        "image_properties",
        ["name", "head", "created_at", "image_id"],
        unique=False,
    )
    op.create_table(
        "image_tags",
        sa.Column("image_id", Key(length=36), nullable=False),
        sa.Column("value", Key(length=255), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("image_id", "value"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mysql_row_format="DYNAMIC",
    )
    op.create_index(
        "image_tags_by_value",
        "image_tags",
        ["value", "created_at", "image_id"],
        unique=False,
    )
    op.create_table(
        "leases",
        sa.Column("image_id", Key(length=36), nullable=False),
        sa.Column("token", Key(length=64), nullable=False),
        sa.Column("worker", Key(length=255), nullable=False),
        sa.Column("store", Key(length=255), nullable=False),
        sa.Column("beat", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("image_id"),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mysql_row_format="DYNAMIC",
    )
    op.create_index("leases_by_token", "leases", ["token"], unique=True)
    if op.get_context().dialect.name == "postgresql":
        # A value means nothing without its name: planned as independent, a common
        # property looks rare.
        op.execute(
            "CREATE STATISTICS image_properties_name_head (mcv, ndistinct)"
            " ON name, head FROM image_properties"
        )
