"""Registered bytes that are being looked at: the lease of the one who does, and what he finds.

The lease (purpose "verify") says only who looks: others may add locations, hide them, or
doom the image meanwhile. Rows are locked in the order of ``transitions.py``.
"""

import datetime
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from imageservice import errors
from imageservice.db import copies, transitions, usage
from imageservice.db.engine import Database
from imageservice.db.locations import Claimant
from imageservice.db.tables import image_locations, images, leases
from imageservice.db.transitions import NO_CHARGE, Locked
from imageservice.db.usage import Used
from imageservice.domain.allowance import Allowance
from imageservice.domain.image import HIDDEN_STATUSES, Location, Spot
from imageservice.domain.lease import REMOVE, VERIFY
from imageservice.domain.proposals import Digests, Proposal


class Measured(NamedTuple):
    """What was found out about registered bytes; None: nobody has read them."""

    size: int
    digests: Digests | None


class Registrations:
    """Locations whose bytes nobody has seen yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self,
        image_id: str,
        proposal: Proposal,
        claimant: Claimant,
        now: datetime.datetime,
    ) -> None:
        """queued → importing, with a location, what is said of it, and a lease.

        Raises ImageBusy, ImageNotFound, ImageLeased.
        """
        said = proposal.digests._asdict() if proposal.digests else {}

        def transaction(connection: Connection) -> None:
            known = {"status": "importing", **said}
            if not transitions.move(connection, image_id, "queued", now, {}, **known):
                found = transitions.status(connection, image_id)
                raise errors.ImageBusy(status=found, wanted="importing")
            connection.execute(
                insert(image_locations), copies.row(image_id, proposal.location)
            )
            transitions.take_lease(
                connection, image_id, claimant.token, claimant.worker, "",
                claimant.purpose, NO_CHARGE,
            )  # fmt: skip

        self._database.write(transaction)

    def respell(self, token: str, image_id: str, old: str, new: str) -> None:
        """Note a location as its store words it. Raises ImageGone, LeaseLost."""

        def transaction(connection: Connection) -> None:
            _held(connection, image_id, token)
            connection.execute(
                update(image_locations)
                .where(image_locations.c.image_id == image_id)
                .where(image_locations.c.url == old)
                .values(url=new)
            )

        self._database.write(transaction)

    def activate(
        self,
        token: str,
        image_id: str,
        measured: Measured,
        allowance: Allowance,
        now: datetime.datetime,
    ) -> None:
        """importing → active with these bytes; the lease stays.

        Raises ImageGone, LeaseLost, FormatsMissing, ProjectLimit.
        """
        known = {"size": measured.size}
        if measured.digests is not None:
            known |= measured.digests._asdict()

        def transaction(connection: Connection) -> None:
            image = _held(connection, image_id, token)
            _require_formats(connection, image_id)
            if not transitions.move(
                connection, image_id, "importing", now, {}, status="active", **known
            ):
                raise errors.LeaseLost(image_id=image_id)
            count = usage.copies(connection, image_id)
            taken = Used(bytes=count * measured.size)
            usage.take(connection, image.owner, taken, allowance)

        self._database.write(transaction)

    def describe(
        self,
        token: str,
        image_id: str,
        at: Location,
        digests: Digests,
        now: datetime.datetime,
    ) -> None:
        """Note the digests of an image of which none are known, read ``at`` a location.

        Nothing is noted if that is not its first one any more. Raises ImageGone,
        LeaseLost.
        """

        def transaction(connection: Connection) -> None:
            _held(connection, image_id, token)
            if _active(connection, image_id)[:1] != [at.spot]:
                return
            connection.execute(
                update(images)
                .where(images.c.id == image_id)
                .where(images.c.os_hash_value.is_(None))
                .values(
                    version=images.c.version + 1,
                    updated_at=now,
                    **digests._asdict(),
                )
            )

        self._database.write(transaction)

    def refute(
        self, token: str, image_id: str, at: Location, now: datetime.datetime
    ) -> None:
        """Forget a location whose bytes are not the image's; they stay where they are.

        If there is no other the image is deactivated, without digests: nobody is to use
        it, and its owner is to see that. Nothing happens if he has removed it meanwhile.
        Raises ImageGone, LeaseLost.
        """

        def transaction(connection: Connection) -> None:
            image = _held(connection, image_id, token)
            places = _active(connection, image_id)
            if at.spot not in places:
                return
            if len(places) > 1:
                connection.execute(
                    delete(image_locations).where(
                        image_locations.c.image_id == image_id,
                        image_locations.c.store == at.store,
                        image_locations.c.url == at.url,
                        image_locations.c.status == copies.ACTIVE,
                    )
                )
                gone = Used(bytes=-(image.size or 0))
                copies.touch(connection, image_id, now)
                usage.add(connection, (image.owner, gone))
            else:
                _stop(connection, image_id, now)

        self._database.write(transaction)

    def finish(self, token: str, image_id: str, seen: Collection[Spot]) -> str | None:
        """End the lease if all active locations are among those ``seen``.

        None: it is ended. Otherwise what it is for now: VERIFY, there is more to see;
        REMOVE, hidden locations have to be removed. Raises ImageGone, LeaseLost.
        """

        def transaction(connection: Connection) -> str | None:
            _held(connection, image_id, token)
            if set(_active(connection, image_id)) - set(seen):
                return VERIFY
            hidden = select(func.count()).where(
                image_locations.c.image_id == image_id,
                image_locations.c.status == copies.DOOMED,
            )
            if connection.execute(hidden).scalar_one():
                mine = update(leases).where(leases.c.image_id == image_id)
                connection.execute(mine.values(purpose=REMOVE))
                return REMOVE
            transitions.end_lease(connection, image_id, token)
            return None

        return self._database.write(transaction)


def _held(connection: Connection, image_id: str, token: str) -> Locked:
    """Lock an image whose lease is ours. Raises ImageGone, LeaseLost."""
    found = transitions.locked(connection, image_id)
    if found is None or found.status in HIDDEN_STATUSES:
        raise errors.ImageGone(image_id=image_id)
    mine = select(leases.c.token).where(
        leases.c.image_id == image_id, leases.c.token == token
    )
    if connection.execute(mine.with_for_update()).first() is None:
        raise errors.LeaseLost(image_id=image_id)
    return found


def _stop(connection: Connection, image_id: str, now: datetime.datetime) -> None:
    """Deactivate an image whose digests are not those of its bytes, and forget them.

    Its owner may reactivate it, and nobody would look again.
    """
    copies.touch(connection, image_id, now)
    connection.execute(
        update(images)
        .where(images.c.id == image_id)
        .values(status="deactivated", **dict.fromkeys(Digests._fields))
    )


def _require_formats(connection: Connection, image_id: str) -> None:
    formats = (images.c.disk_format, images.c.container_format)
    found = select(*formats).where(images.c.id == image_id)
    if None in connection.execute(found).one():
        raise errors.FormatsMissing(image_id=image_id)


def _active(connection: Connection, image_id: str) -> list[Spot]:
    spots = (
        select(image_locations.c.store, image_locations.c.url)
        .where(
            image_locations.c.image_id == image_id,
            image_locations.c.status == copies.ACTIVE,
        )
        .order_by(image_locations.c.id)
    )
    return [(row.store, row.url) for row in connection.execute(spots)]
