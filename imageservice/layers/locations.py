"""The location rings for what clients register, by POST and by PATCH.

Who may name what is said in ``registrar.py``; what lies there is found out in
``tasks/verification.py``, after the request.
"""

import logging
from collections.abc import Sequence

from imageservice import errors
from imageservice.context import Context
from imageservice.domain import changes as domain
from imageservice.domain import proposals as rules
from imageservice.domain.allowance import NOTHING, Allowance
from imageservice.domain.changes import Change
from imageservice.domain.image import SIGNATURE_PROPERTIES, Image
from imageservice.domain.lease import REMOVE, VERIFY
from imageservice.domain.location import redacted
from imageservice.domain.proposals import Proposal
from imageservice.layers.base import Layer
from imageservice.layers.registrar import Registrar
from imageservice.layers.removal import remove
from imageservice.policy.enforcer import SIGHT, Enforcer
from imageservice.policy.target import Existing
from imageservice.services import interfaces

LOG = logging.getLogger(__name__)


class Queued(Layer):
    """Says that it is too late before policy is asked (contract images.md §14.2)."""

    inner: interfaces.Locations

    def __init__(self, enforcer: Enforcer) -> None:
        self._enforcer = enforcer

    def add(self, ctx: Context, image: Image, proposal: Proposal) -> None:
        if image.status != "queued":
            if self._enforcer.hides_images:
                # From whom the operator hides the image, that too is hidden.
                self._require_sight(ctx, image)
            raise errors.LocationsFrozen(status=image.status)
        self.inner.add(ctx, image, proposal)

    def _require_sight(self, ctx: Context, image: Image) -> None:
        if not self._enforcer.allows(SIGHT, ctx, Existing(ctx, image)):
            raise errors.ImageNotFound(image_id=image.id)


class Locations(Layer):
    """POST: a queued image gets its first location; what lies there is found out later."""

    inner: interfaces.Locations

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar

    def add(self, ctx: Context, image: Image, proposal: Proposal) -> None:
        self._registrar.require_service(ctx, proposal.url, admins=False)
        wrong = rules.check_form(proposal.digests) if proposal.digests else None
        if wrong is not None:
            raise errors.BadRequest(reason=f"validation_data: {wrong}")
        _require_unsigned(image)
        self.inner.add(ctx, image, self._registrar.place(proposal))


class Images(Layer):
    """PATCH: locations come with their size, and what was removed goes from its store."""

    inner: interfaces.Images

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar

    def update(
        self,
        ctx: Context,
        image: Image,
        changes: Sequence[Change],
        allowance: Allowance = NOTHING,
    ) -> Image:
        if not any(change.name == "locations" for change in changes):
            return self.inner.update(ctx, image, changes, allowance)
        self._require_unsigned(ctx, image, changes)
        self._keep_first(image, changes)
        known = [redacted(at.url) for at in image.locations]
        found = [self._found(ctx, image, change, known) for change in changes]
        done = self.inner.relocate(ctx, image, found, self._purpose(found), allowance)
        if done.lease is not None and done.lease.purpose == REMOVE:
            remove(self.inner, self._registrar.stores, done.lease, done.removed)
        elif done.lease is not None:
            self._registrar.verify(done.lease, [at.spot for at in image.locations])
        return done.image

    def _require_unsigned(
        self, ctx: Context, image: Image, changes: Sequence[Change]
    ) -> None:
        """Raise SignatureUnread if an image gets locations that is signed by then."""
        is_added = any(
            change.operation == "add"
            for change in changes
            if change.name == "locations"
        )
        if is_added or not image.locations:
            others = [change for change in changes if change.name != "locations"]
            _require_unsigned(domain.apply(image, others, is_admin=bool(ctx.is_admin)))

    def _keep_first(self, image: Image, changes: Sequence[Change]) -> None:
        """Raise LocationsUnread if others would come before the bytes still to be read.

        The first location says which bytes the image has, until that is on record.
        """
        is_unread = image.locations and image.os_hash_value is None
        if not (is_unread and self._registrar.is_secure):
            return
        first = redacted(image.locations[0].url)
        for change in changes:
            named = [redacted(each.url) for each in change.proposals]
            is_before = change.operation == "add" and change.place == 0
            is_replaced = change.operation == "replace" and named[:1] != [first]
            if named and (is_before or is_replaced):
                raise errors.LocationsUnread(image_id=image.id)

    def _purpose(self, changes: Sequence[Change]) -> str | None:
        """What follows after the rows: what the lease has to be for, None for nothing."""
        operations = {change[:2] for change in changes}
        if ("remove", "locations") in operations:
            if len(operations) > 1:
                raise errors.LocationsMixed()
            return REMOVE
        is_added = any(each.store for change in changes for each in change.proposals)
        return VERIFY if is_added and self._registrar.is_secure else None

    def _found(
        self, ctx: Context, image: Image, change: Change, known: Sequence[str]
    ) -> Change:
        """The change with what stores say of its locations.

        Those of a replacement that are ``known`` stay where they are: nobody is asked.
        """
        if change.operation == "replace":
            checked = tuple(
                each if redacted(each.url) in known else self._checked(ctx, image, each)
                for each in change.proposals
            )
            return change._replace(value=checked) if checked else change
        for proposal in change.proposals:
            return change._replace(value=self._checked(ctx, image, proposal))
        return change

    def _checked(self, ctx: Context, image: Image, proposal: Proposal) -> Proposal:
        self._check_digests(proposal)
        # Before anybody is asked: who may not name it learns nothing about it.
        self._registrar.candidates(proposal.url)
        self._registrar.require_service(ctx, proposal.url, admins=True)
        found = self._registrar.measure(image, proposal)
        if self._registrar.is_known(image, found.url):
            raise errors.LocationTaken(image_id=image.id)
        return found

    def _check_digests(self, proposal: Proposal) -> None:
        said, algorithm = proposal.digests, self._registrar.algorithm
        if said is None:
            return
        if said.os_hash_algo != algorithm:
            raise errors.DigestsInvalid(reason=f"os_hash_algo must be {algorithm}")
        wrong = rules.check_form(said)
        if wrong is not None:
            raise errors.DigestsInvalid(reason=wrong)


def _require_unsigned(image: Image) -> None:
    """Raise SignatureUnread if the image has any part of a signature.

    The key manager gives certificates to the caller's token, which nobody has any more when
    the bytes are read (docs/adr/0025).
    """
    if not image.properties.keys().isdisjoint(SIGNATURE_PROPERTIES):
        raise errors.SignatureUnread(image_id=image.id)
