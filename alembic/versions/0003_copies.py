"""Copies that are being removed, and what each lease is for.

Revision: 0003_copies. Every copy that is there stays active; every lease is of an upload
or of a deletion, and needs no telling apart.
"""

import sqlalchemy as sa
from alembic import op

from imageservice.db.types import Key

revision = "0003_copies"
down_revision = "0002_usage"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # As in 0002: what an interrupted run has done is not done again.
    _add("image_locations", "status", "active", 30)
    _add("leases", "purpose", "upload", 16)


def _add(table: str, name: str, default: str, length: int) -> None:
    columns = {
        column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)
    }
    if name not in columns:
        column = sa.Column(
            name, Key(length=length), server_default=default, nullable=False
        )
        op.add_column(table, column)
