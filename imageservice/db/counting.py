"""What the images of a project are and take, counted from their rows."""

from typing import NamedTuple

from sqlalchemy import func, select

from imageservice.db.engine import Database
from imageservice.db.tables import image_locations, images
from imageservice.domain.image import HIDDEN_STATUSES


class Used(NamedTuple):
    """Sizes in bytes; ``reserved`` is what uploads under way have taken."""

    images: int
    uploading: int
    bytes: int
    reserved: int


class Counting:
    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, project_id: str) -> Used:
        """Count what is there at this moment; reservations are not known here."""
        owned = images.c.owner == project_id
        existing = select(func.count()).where(
            owned, images.c.status.not_in(HIDDEN_STATUSES)
        )
        uploading = select(func.count()).where(owned, images.c.status == "saving")
        # One size for each copy, until the copy is really gone.
        stored = (
            select(func.coalesce(func.sum(images.c.size), 0))
            .join_from(
                image_locations, images, images.c.id == image_locations.c.image_id
            )
            .where(owned)
        )
        statement = select(
            existing.scalar_subquery().label("images"),
            uploading.scalar_subquery().label("uploading"),
            stored.scalar_subquery().label("bytes"),
        )
        [row] = self._database.read(statement)
        return Used(row.images, row.uploading, int(row.bytes), 0)
