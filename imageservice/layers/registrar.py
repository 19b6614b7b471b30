"""Which bytes a client may name, and in which store they lie.

Bytes in stores of ours belong to somebody already: who could register them could read
them, whoever's they are. So users register web addresses only, and what lies in stores
is for services (docs/adr/0026).
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from oslo_config import cfg

from imageservice import errors
from imageservice.context import Context
from imageservice.domain import proposals as rules
from imageservice.domain.image import Image, Location, Spot
from imageservice.domain.location import redacted
from imageservice.domain.proposals import Proposal
from imageservice.services.interfaces import Lease
from imageservice.stores import registry

LOG = logging.getLogger(__name__)

OPTS: Sequence[cfg.Opt] = (
    cfg.BoolOpt(
        "do_secure_hash",
        default=True,
        help="Read what clients register by its location, once and in the background, to "
        "compute its digests or to compare them with what the client says. If false, "
        "nothing is read: images have the digests that clients give, or none.",
    ),
    cfg.IntOpt(
        "http_retries",
        default=3,
        min=1,
        max=100,
        help="How often bytes that a client registered are asked for before they are "
        "given up. There are 1 s, 3 s and then 10 s between tries, in which others have "
        "their turn.",
    ),
)

#: Schemes of which even an administrator registers nothing.
#: Source: contract operations.md §3.5.
BY_SERVICES = frozenset({"rbd", "cinder"})


class Verify(Protocol):
    """Reads registered bytes in the background (tasks/verification.py)."""

    def __call__(self, lease: Lease, known: Sequence[Spot] = ()) -> None:
        """Look at the bytes that ``lease`` stands for, but those at ``known``."""
        ...


class Registrar(NamedTuple):
    """What the rings below are made of."""

    stores: registry.Stores
    algorithm: str  # of os_hash_value
    is_secure: bool  # whether registered bytes are read
    verify: Verify
    size_cap: int  # bytes of the largest image

    def require_service(self, ctx: Context, url: str, *, admins: bool) -> None:
        """Let users name web addresses only, and these only if there is a store for them.

        ``admins``: whether administrators are exempt. Source: contract images.md §14.2.
        """
        scheme = rules.scheme(url)
        is_for_users = scheme in rules.OUTSIDE and bool(self._stores_for(scheme))
        if is_for_users or "service" in (*ctx.roles, *ctx.service_roles):
            return
        if not (admins and ctx.is_admin and scheme not in BY_SERVICES):
            raise errors.LocationForServices()

    def candidates(self, url: str) -> list[registry.Store]:
        """The stores of a URL's kind. Raises LocationRefused if there is none."""
        scheme = rules.scheme(url)
        found = self._stores_for(scheme)
        if scheme in rules.NEVER or not found:
            raise errors.LocationRefused()
        return found

    def _stores_for(self, scheme: str) -> list[registry.Store]:
        kind = "http" if scheme in rules.OUTSIDE else scheme.partition("+")[0]
        return [store for store in self.stores.all if store.kind == kind]

    def place(self, proposal: Proposal) -> Proposal:
        """Find the store of a location without asking it.

        Raises LocationRefused, LocationUnreadable.
        """
        url = _without_secrets(proposal.url)
        for store in self.candidates(url):
            try:
                store.driver.check_url(url)
            except errors.LocationInvalid:
                continue
            return proposal._replace(url=url, store=store.id)
        raise errors.LocationUnreadable()

    def measure(self, image: Image, proposal: Proposal) -> Proposal:
        """Find the store of a location of ``image`` and the size of what lies there.

        Raises LocationRefused, ImageSizeLimit, and else LocationUnreadable whatever the
        reason is: users are not to find out what there is in our network.
        """
        for store in self.candidates(proposal.url):
            try:
                driver = store.ready()
                # Two spellings of one place would be two copies, until one is removed.
                url = driver.canonical(_without_secrets(proposal.url))
                size = driver.size(url)
            except errors.LocationInvalid:
                continue
            except errors.Error as error:
                LOG.warning("store %s: %s", store.id, error)
                continue
            # A copy has to have the image's size anyway, which the limit may be below by now.
            if image.size is None and size > self.size_cap:
                raise errors.ImageSizeLimit(image_id=image.id, maximum=self.size_cap)
            if size > 0:
                return proposal._replace(url=url, store=store.id, size=size)
        raise errors.LocationUnreadable()

    def is_known(self, image: Image, url: str) -> bool:
        """Whether a canonical URL is a place that the image has, however it is noted."""
        return any(url == self._canonical(at) for at in image.locations)

    def _canonical(self, at: Location) -> str:
        try:
            store = self.stores.holding(at.store, at.url)
            return store.ready().canonical(_without_secrets(at.url))
        except (errors.LocationInvalid, errors.Unavailable):
            return at.url


def _without_secrets(url: str) -> str:
    """Stores of ours have keys of their own; a web server wants the user's.

    Source: contract operations.md §3.5.
    """
    return url if rules.scheme(url) in rules.OUTSIDE else redacted(url)
