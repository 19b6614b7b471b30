"""Mending what an audit has found, each thing under the image's lease."""

import logging
from collections.abc import Callable

from imageservice import errors
from imageservice.care import claims
from imageservice.care.audit import expected, verify
from imageservice.care.findings import Finding, Kind, Outcome
from imageservice.care.pace import Pace
from imageservice.care.patience import patiently
from imageservice.care.tools import Tools
from imageservice.db.inventory import Kept
from imageservice.domain.allowance import UNLIMITED
from imageservice.services.images import utcnow
from imageservice.services.interfaces import Lease
from imageservice.stores.driver import Driver

LOG = logging.getLogger(__name__)

UNCERTAIN = (Kind.UNREADABLE, Kind.INVALID)
"""What may be the store's trouble, or the configuration's, and not that of these bytes."""


class Claimed(errors.Conflict):
    template = (
        "An image has got a location at '{key}' meanwhile: it is the image's now."
    )


class Mending:
    """What an audit of any store finds is mended with this."""

    def __init__(self, tools: Tools, pace: Pace, *, dry_run: bool) -> None:
        self._ctx, self._images, self._inventory, self._stores, self._workers = tools
        self._pace = pace
        self._dry_run = dry_run

    def mend(self, finding: Finding) -> Finding:
        """Do what can be done, or say what would be; returns the finding with its outcome."""
        if finding.is_doubtful or finding.kind in UNCERTAIN:
            return finding._replace(outcome=Outcome.KEPT)
        is_copy = finding.kind not in (Kind.ORPHAN, Kind.LEFTOVER)
        mend: Callable[[Finding], Finding] = self._replace if is_copy else self._remove
        try:
            return mend(finding)
        except errors.Error as error:
            LOG.debug("%s", finding, exc_info=True)
            return finding._replace(outcome=Outcome.KEPT, reason=str(error))

    # --- copies that are not what they should be ---

    def _replace(self, finding: Finding) -> Finding:
        """Make the copy anew from another one that has been read to its end."""
        good = self._good_copy(finding)
        if good is None:
            return finding._replace(outcome=Outcome.NO_COPY)
        reason = f"{finding.reason}; good copy in {good}"
        if self._dry_run:
            return finding._replace(outcome=Outcome.WOULD_REPLACE, reason=reason)
        self._stores.writable(finding.store).driver.check()  # before the old one goes
        patiently(lambda: self._write_again(finding), self._pace)
        return finding._replace(outcome=Outcome.REPLACED, reason=reason)

    def _write_again(self, finding: Finding) -> None:
        image = self._images.find(self._ctx, finding.image_id)
        for copy in image.locations:
            if copy.spot == finding.spot:
                self._images.replace_copy(self._ctx, image, copy)
                return
        raise errors.CopyNotFound(image_id=image.id, store=finding.store)

    def _good_copy(self, finding: Finding) -> str | None:
        """The store of another copy that is as it was uploaded."""
        for store, copy in self._inventory.of(finding.image_id):
            if (
                (store, copy.url) != finding.spot
                and copy.is_settled
                and self._is_good(store, copy)
            ):
                return store
        return None

    def _is_good(self, store: str, copy: Kept) -> bool:
        wanted = expected(copy)
        if not wanted.has_digest:
            return False  # nobody could tell
        try:
            held = self._stores.holding(store, copy.url)
            verify(held, wanted, copy.url, self._workers, self._pace)
        except (
            errors.NotFound,
            errors.Conflict,
            errors.Unavailable,
            errors.BadRequest,
        ) as error:
            LOG.info("image %s: no good copy in %s: %s", copy.image_id, store, error)
            return False
        return True

    # --- bytes that belong to no image ---

    def _remove(self, finding: Finding) -> Finding:
        if self._dry_run:
            return finding._replace(outcome=Outcome.WOULD_REMOVE)
        driver = self._stores.get(finding.store).driver
        if self._inventory.burn(finding.image_id, utcnow()):
            # There is no such image, and never will be.
            self._discard(driver, finding.image_id)
        else:
            # There is, without a copy here: nobody makes one while we hold its lease. Who
            # takes that over discards the key, too.
            lease = patiently(lambda: self._claimed(finding), self._pace)
            try:
                self._discard(driver, finding.image_id)
            finally:
                self._images.release(lease)
        return finding._replace(outcome=Outcome.REMOVED)

    def _claimed(self, finding: Finding) -> Lease:
        image = self._images.find(self._ctx, finding.image_id)
        return self._images.claim_copy(self._ctx, image, finding.store, UNLIMITED)

    def _discard(self, driver: Driver, key: str) -> None:
        # It was nobody's when it was found; that may be a while ago.
        if claims.is_claimed(driver, self._inventory, key):
            raise Claimed(key=key)
        driver.discard(key)
