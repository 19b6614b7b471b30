"""Members: the projects that an image is shared with (contract images.md §12)."""

import datetime

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update

from imageservice import errors
from imageservice.db import visibility
from imageservice.db.engine import Database
from imageservice.db.tables import image_members, images
from imageservice.db.text import is_storable, require_storable
from imageservice.domain.member import Member

_MEMBERS = select(*(image_members.c[name] for name in Member._fields)).where(
    image_members.c.image_id == bindparam("image_id")
)
_LIST = _MEMBERS.order_by(image_members.c.created_at, image_members.c.member_id)
_ONE = _MEMBERS.where(image_members.c.member_id == bindparam("member_id"))


class Members:
    """Rows of members; changing them changes nothing on the image itself."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, image_id: str) -> list[Member]:
        """Return the members of an image, in the order they were added."""
        rows = self._database.read(_LIST, {"image_id": image_id})
        return [Member._make(row) for row in rows]

    def get(self, image_id: str, member_id: str) -> Member | None:
        if not is_storable(member_id):
            return None
        rows = self._database.read(_ONE, {"image_id": image_id, "member_id": member_id})
        return Member._make(rows[0]) if rows else None

    def insert(
        self, image_id: str, member_id: str, maximum: int, now: datetime.datetime
    ) -> Member:
        """Add a member, pending. ``maximum`` negative: no limit.

        Raises MemberLimit, then MemberExists (images.md §22: limits come first);
        ImageNotFound when the image is gone.
        """
        require_storable(member_id)
        member = Member(image_id, member_id, "pending", now, now)

        def transaction(connection: Connection) -> None:
            # Two that add a member each must count one after the other.
            if connection.execute(_locked(image_id)).first() is None:
                raise errors.ImageNotFound(image_id=image_id)
            known = select(image_members.c.member_id).where(
                image_members.c.image_id == image_id
            )
            members = set(connection.scalars(known))
            attempted = len(members) + 1
            if 0 <= maximum < attempted:
                raise errors.MemberLimit(attempted=attempted, maximum=maximum)
            if member_id in members:
                raise errors.MemberExists(image_id=image_id, member_id=member_id)
            connection.execute(insert(image_members), member._asdict())

        self._database.write(transaction)
        return member

    def set_status(
        self, image_id: str, member_id: str, status: str, now: datetime.datetime
    ) -> Member | None:
        """Change a member's status; None if there is no such member."""
        if not is_storable(member_id):
            return None
        change = (
            update(image_members)
            .where(
                image_members.c.image_id == image_id,
                image_members.c.member_id == member_id,
            )
            .values(status=status, updated_at=now)
        )
        found = {"image_id": image_id, "member_id": member_id}

        def transaction(connection: Connection) -> Member | None:
            connection.execute(change)
            row = connection.execute(_ONE, found).first()
            return None if row is None else Member._make(row)

        return self._database.write(transaction)

    def delete(self, image_id: str, member_id: str) -> bool:
        """Remove a member; False if there was none."""
        if not is_storable(member_id):
            return False
        row = delete(image_members).where(
            image_members.c.image_id == image_id,
            image_members.c.member_id == member_id,
        )
        return self._database.write(
            lambda connection: connection.execute(row).rowcount == 1
        )


def _locked(image_id: str) -> Select[tuple[str]]:
    return (
        select(images.c.id)
        .where(images.c.id == image_id, visibility.is_alive())
        .with_for_update(key_share=True)
    )
