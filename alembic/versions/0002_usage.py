"""What each project uses, and what each upload has reserved.

Revision: 0002_usage. The counters begin with what is there; uploads under way have
reserved nothing and go on.
"""

import sqlalchemy as sa
from alembic import op

from imageservice.db.types import Key

revision = "0002_usage"
down_revision = "0001_images"
branch_labels = None
depends_on = None

_SEED = """
INSERT INTO project_usage (project_id, images, uploading, bytes, reserved)
SELECT images.owner,
       sum(CASE WHEN images.status IN ('killed', 'pending_delete', 'deleted')
           THEN 0 ELSE 1 END),
       0,
       sum(coalesce(images.size, 0) * (
           SELECT count(*) FROM image_locations
           WHERE image_locations.image_id = images.id)),
       0
FROM images WHERE images.owner IS NOT NULL GROUP BY images.owner
"""


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def upgrade() -> None:
    # MariaDB and MySQL keep each of these statements even if the next one fails, or the
    # process ends: what an earlier run has done is not done again.
    there = sa.inspect(op.get_bind())
    if not there.has_table("project_usage"):
        op.create_table(
            "project_usage",
            sa.Column("project_id", Key(length=255), nullable=False),
            _number("images"),
            _number("uploading"),
            _number("bytes"),
            _number("reserved"),
            sa.PrimaryKeyConstraint("project_id"),
            mysql_charset="utf8mb4",
            mysql_engine="InnoDB",
            mysql_row_format="DYNAMIC",
        )
    leases = {column["name"] for column in there.get_columns("leases")}
    if "project_id" not in leases:
        op.add_column("leases", sa.Column("project_id", Key(length=255), nullable=True))
    if "reserved" not in leases:
        op.add_column("leases", _number("reserved"))
    op.execute("DELETE FROM project_usage")
    op.execute(_SEED)
