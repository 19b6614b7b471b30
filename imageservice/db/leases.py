"""Leases: who is writing or deleting the bytes of which image, and is he alive?

No clock is compared: the owner lets ``beat`` grow, and a watcher takes over what has
not grown for a while on its own clock (``tasks/housekeeping.py``).
"""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, exc, insert, select, update

from imageservice.db.engine import Database
from imageservice.db.tables import images, leases
from imageservice.domain.lease import DELETE


class Beaten(NamedTuple):
    """A lease that is still its owner's. ``is_doomed``: its image is to be deleted."""

    image_id: str
    is_doomed: bool


class Watched(NamedTuple):
    """A lease as a watcher sees it; ``status`` is its image's."""

    image_id: str
    token: str
    worker: str
    store: str
    purpose: str
    beat: int
    status: str


_HELD = select(leases.c.token, leases.c.image_id, images.c.status).join_from(
    leases, images, images.c.id == leases.c.image_id
)
_WATCHED = select(
    *(leases.c[name] for name in Watched._fields if name != "status"),
    images.c.status,
).join_from(leases, images, images.c.id == leases.c.image_id)
_UNOWNED = (
    select(images.c.id)
    .outerjoin(leases, leases.c.image_id == images.c.id)
    .where(
        # Both values: the index on the status begins with os_hidden.
        images.c.os_hidden.in_((False, True)),
        images.c.status == "pending_delete",
        leases.c.image_id.is_(None),
    )
    .order_by(images.c.id)
    .limit(1000)
)


class Leases:
    def __init__(self, database: Database) -> None:
        self._database = database

    def beat(self, tokens: Collection[str]) -> dict[str, Beaten]:
        """Let these leases live on; return those that still exist, by token."""
        wanted = sorted(tokens)
        if not wanted:
            return {}
        mine = leases.c.token.in_(wanted)
        beat = update(leases).where(mine).values(beat=leases.c.beat + 1)

        def transaction(connection: Connection) -> dict[str, Beaten]:
            connection.execute(beat)
            held = connection.execute(_HELD.where(mine))
            return {
                row.token: Beaten(row.image_id, row.status == "pending_delete")
                for row in held
            }

        return self._database.write(transaction)

    def watch(self) -> list[Watched]:
        """Return all leases of all workers."""
        return [Watched._make(row) for row in self._database.read(_WATCHED)]

    def is_held(self, image_id: str, token: str) -> bool:
        """Tell whether this lease exists."""
        statement = select(leases.c.token).where(
            leases.c.image_id == image_id, leases.c.token == token
        )
        return bool(self._database.read(statement))

    def renew(self, image_id: str, token: str) -> bool:
        """Tell whether this lease exists, and will until its owner ends it.

        Unlike ``is_held`` it waits for a transaction that is ending the lease now: one
        whose commit was sent, and whose answer got lost, may still be under way.
        """
        statement = (
            update(leases)
            .where(leases.c.image_id == image_id, leases.c.token == token)
            .values(beat=leases.c.beat + 1)
        )
        return self._database.write(
            lambda connection: connection.execute(statement).rowcount == 1
        )

    def take_over(
        self, image_id: str, token: str, beat: int, new_token: str, worker: str
    ) -> bool:
        """Make a lease ours, unless it has beaten or changed hands meanwhile."""
        statement = (
            update(leases)
            .where(
                leases.c.image_id == image_id,
                leases.c.token == token,
                leases.c.beat == beat,
            )
            .values(token=new_token, worker=worker, beat=0)
        )
        return self._database.write(
            lambda connection: connection.execute(statement).rowcount == 1
        )

    def move(self, store: str, to: str) -> None:
        """Let what is written in a store be written in another; no owner learns of it.

        Whoever takes such a lease over does.
        """
        mine = update(leases).where(leases.c.store == store).values(store=to)
        self._database.write(lambda connection: connection.execute(mine) and None)

    def unowned_doomed(self) -> list[str]:
        """Return the ids of doomed images that nobody is deleting; 1000 at most."""
        return [row.id for row in self._database.read(_UNOWNED)]

    def adopt(self, image_id: str, token: str, worker: str) -> bool:
        """Take the deletion of such an image upon us; False if somebody else has."""
        values = {
            "image_id": image_id,
            "token": token,
            "worker": worker,
            "store": "",
            "purpose": DELETE,
            "beat": 0,
        }
        doomed = (
            select(images.c.id)
            .where(images.c.id == image_id, images.c.status == "pending_delete")
            .with_for_update(key_share=True)
        )

        def transaction(connection: Connection) -> bool:
            if connection.execute(doomed).first() is None:
                return False
            try:
                connection.execute(insert(leases), values)
            except exc.IntegrityError:
                connection.rollback()
                return False
            return True

        return self._database.write(transaction)
