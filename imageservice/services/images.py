"""Images, innermost: domain rules and rows; one short method per operation."""

import contextlib
import datetime
import logging
from collections.abc import Sequence

from imageservice import errors
from imageservice.context import Context
from imageservice.db import images as rows
from imageservice.db import transitions
from imageservice.db.copies import Copies
from imageservice.db.locations import Claimant, Locations, Move
from imageservice.domain import changes as rules
from imageservice.domain.allowance import NOTHING, Allowance
from imageservice.domain.changes import Change
from imageservice.domain.image import SIGNATURE_PROPERTIES, Image, Location
from imageservice.domain.lease import COPY, DELETE, REMOVE, REWRITE, UPLOAD
from imageservice.domain.query import Page, Query, Viewer
from imageservice.services.interfaces import Doomed, Lease, Relocated, Stored
from imageservice.services.leases import Leases

LOG = logging.getLogger(__name__)


def utcnow() -> datetime.datetime:
    """The time as rows hold it: UTC without zone."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


class Images:
    def __init__(
        self,
        images: rows.Images,
        copies: Copies,
        places: Locations,
        leases: Leases,
        *,
        tag_quota: int = -1,
    ) -> None:
        self._rows = images
        self._copies = copies
        self._places = places
        self._leases = leases
        self._tag_quota = tag_quota

    # --- reading ---

    def list(self, ctx: Context, query: Query) -> Page:
        return self._rows.list(query)

    def find(self, ctx: Context, image_id: str) -> Image:
        image = self._rows.show(image_id, Viewer(ctx.project_id, bool(ctx.is_admin)))
        if image is None:
            raise errors.ImageNotFound(image_id=image_id)
        return image

    def show(self, ctx: Context, image: Image) -> Image:
        return image

    # --- the record ---

    def create(
        self, ctx: Context, image: Image, allowance: Allowance = NOTHING
    ) -> Image:
        created = self._rows.insert(image, allowance)
        LOG.info("image %s created by project %s", image.id, ctx.project_id)
        return created

    def update(
        self,
        ctx: Context,
        image: Image,
        changes: Sequence[Change],
        allowance: Allowance = NOTHING,
    ) -> Image:
        after = rules.apply(image, changes, is_admin=bool(ctx.is_admin))
        if not changes:
            return image
        return self._rows.update(image, after, utcnow())

    def relocate(
        self,
        ctx: Context,
        image: Image,
        changes: Sequence[Change],
        purpose: str | None,
        allowance: Allowance = NOTHING,
    ) -> Relocated:
        after = rules.apply(image, changes, is_admin=bool(ctx.is_admin))
        claimant = lease = None
        if purpose is not None:
            lease = self._leases.begin(image.id, "", purpose)
            claimant = Claimant(lease.token, self._leases.worker, purpose)
        taking = self._leases.taking(lease) if lease else contextlib.nullcontext()
        with taking:
            move = Move(image, after, allowance, claimant)
            moved = self._places.relocate(move, utcnow())
        if lease is not None and not moved.is_ours:
            self._leases.end(lease)
            lease = None
        return Relocated(moved.image, moved.removed, lease)

    def deactivate(self, ctx: Context, image: Image) -> None:
        self._switch(image, "active", "deactivated")

    def reactivate(self, ctx: Context, image: Image) -> None:
        self._switch(image, "deactivated", "active")

    def _switch(self, image: Image, frm: str, to: str) -> None:
        if image.status == to:
            return
        if image.status != frm:
            raise errors.ImageStatusForbids(status=image.status)
        if not self._rows.set_status(image.id, frm, to, utcnow()):
            raise errors.ImageChanged(image_id=image.id)
        LOG.info("image %s: %s, was %s", image.id, to, frm)

    def add_tag(self, ctx: Context, image: Image, tag: str) -> None:
        self._rows.add_tag(image.id, tag, self._tag_quota, utcnow())

    def remove_tag(self, ctx: Context, image: Image, tag: str) -> None:
        if not self._rows.remove_tag(image.id, tag, utcnow()):
            raise errors.TagNotFound(image_id=image.id, tag=tag)

    # --- the bytes: inner operations, asked for by the location ring ---

    def claim(
        self,
        ctx: Context,
        image: Image,
        store: str,
        size: int | None,
        allowance: Allowance = NOTHING,
    ) -> Lease:
        if image.status != "queued":
            raise errors.ImageBusy(status=image.status, wanted="saving")
        if image.disk_format is None or image.container_format is None:
            raise errors.FormatsMissing(image_id=image.id)
        # The bytes will be judged by the first two, and charged to the third.
        known: dict[str, object] = {
            "disk_format": image.disk_format,
            "container_format": image.container_format,
            "owner": image.owner,
        }
        if not image.properties.keys().isdisjoint(SIGNATURE_PROPERTIES):
            # And by these, which are no columns: they change with the version.
            known["version"] = image.version
        lease = self._leases.begin(image.id, store, UPLOAD)
        with self._leases.taking(lease):
            self._rows.claim(
                image.id,
                "queued",
                "saving",
                lease.token,
                self._leases.worker,
                store,
                utcnow(),
                known,
                # A negative size may be announced; no data will be of it (§9.1).
                transitions.Room(image.owner, max(size or 0, 0), allowance),
            )
        return lease

    def grow(
        self, lease: Lease, need: int, wish: int, allowance: Allowance = NOTHING
    ) -> int:
        return self._rows.grow(lease.token, lease.image_id, need, wish, allowance)

    def holds(self, lease: Lease) -> None:
        self._leases.holds(lease)

    def confirm(self, lease: Lease) -> None:
        self._leases.confirm(lease)

    def attach(self, ctx: Context, lease: Lease, stored: Stored) -> Image:
        image = self._rows.attach(
            lease.token, lease.image_id, stored, lease.store, utcnow()
        )
        self._leases.end(lease)
        return image

    def release(self, lease: Lease) -> None:
        try:
            with self._leases.ending(lease):
                is_over = self._rows.release(lease.token, lease.image_id, utcnow())
            if not is_over:
                # Doomed with copies elsewhere, or not ours: housekeeping finds out.
                self._leases.abandon(lease)
        except errors.Error as error:
            LOG.warning("image %s: will be released later: %s", lease.image_id, error)
        except Exception:
            # It must not take the place of the error that it follows.
            LOG.exception("image %s: will be released later", lease.image_id)

    def abandon(self, lease: Lease) -> None:
        self._leases.abandon(lease)

    def doom(self, ctx: Context, image: Image) -> Doomed | None:
        lease = self._leases.begin(image.id, "", DELETE)
        with self._leases.taking(lease):
            doomed = self._rows.doom(
                image.id, lease.token, self._leases.worker, utcnow()
            )
        LOG.info("image %s deleted by project %s", image.id, ctx.project_id)
        if doomed is None:
            self._leases.end(lease)
            return None
        return Doomed(lease, doomed.locations)

    def spare(self, doomed: Doomed) -> None:
        with self._leases.ending(doomed.lease):
            self._rows.spare(doomed.lease.token, doomed.lease.image_id, utcnow())

    def bury(self, doomed: Doomed) -> None:
        with self._leases.ending(doomed.lease):
            self._rows.bury(doomed.lease.token, doomed.lease.image_id, utcnow())

    # --- copies: inner operations of the location ring as well ---

    def claim_copy(
        self, ctx: Context, image: Image, store: str, allowance: Allowance = NOTHING
    ) -> Lease:
        lease = self._leases.begin(image.id, store, COPY)
        room = transitions.Room(image.owner, image.size or 0, allowance)
        with self._leases.taking(lease):
            self._copies.claim(image.id, lease.token, self._leases.worker, store, room)
        return lease

    def claim_anew(self, ctx: Context, image: Image, copy: Location) -> Lease:
        lease = self._leases.begin(image.id, copy.store, REWRITE)
        with self._leases.taking(lease):
            self._copies.claim_anew(image.id, copy, lease.token, self._leases.worker)
        return lease

    def attach_copy(
        self, lease: Lease, copy: Location, instead: Location | None = None
    ) -> None:
        self._copies.attach(lease.token, lease.image_id, copy, utcnow(), instead)
        self._leases.end(lease)
        LOG.info("image %s: a copy in %s", lease.image_id, copy.store)

    def doom_copy(self, ctx: Context, image: Image, copy: Location) -> Lease | None:
        lease = self._leases.begin(image.id, "", REMOVE)
        with self._leases.taking(lease):
            is_ours = self._copies.doom(
                image.id, copy, lease.token, self._leases.worker, utcnow()
            )
        LOG.info("image %s: removing the copy in %s", image.id, copy.store)
        if not is_ours:
            self._leases.end(lease)
            return None
        return lease

    def spare_copy(self, lease: Lease) -> None:
        with self._leases.ending(lease):
            is_over = self._copies.spare(lease.token, lease.image_id, utcnow())
        if not is_over:
            self._leases.abandon(lease)

    def bury_copy(self, lease: Lease) -> None:
        with self._leases.ending(lease):
            is_over = self._copies.bury(lease.token, lease.image_id)
        if not is_over:
            self._leases.abandon(lease)
