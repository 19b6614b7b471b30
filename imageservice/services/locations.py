"""Locations, innermost: where an image's bytes lie (contract images.md §14)."""

import logging
from collections.abc import Callable

from imageservice.context import Context
from imageservice.db.locations import Claimant
from imageservice.db.registrations import Registrations
from imageservice.domain.image import Image, Location
from imageservice.domain.lease import VERIFY
from imageservice.domain.proposals import Proposal
from imageservice.services.images import utcnow
from imageservice.services.interfaces import Lease
from imageservice.services.leases import Leases

LOG = logging.getLogger(__name__)


class Locations:
    """``verify`` looks at registered bytes in the background."""

    def __init__(
        self,
        registrations: Registrations,
        leases: Leases,
        verify: Callable[[Lease], None],
    ) -> None:
        self._rows = registrations
        self._leases = leases
        self._verify = verify

    def list(self, ctx: Context, image: Image) -> tuple[Location, ...]:
        return image.locations

    def add(self, ctx: Context, image: Image, proposal: Proposal) -> None:
        lease = self._leases.begin(image.id, "", VERIFY)
        claimant = Claimant(lease.token, self._leases.worker, VERIFY)
        with self._leases.taking(lease):
            self._rows.claim(image.id, proposal, claimant, utcnow())
        LOG.info(
            "image %s: location registered by project %s", image.id, ctx.project_id
        )
        self._verify(lease)
