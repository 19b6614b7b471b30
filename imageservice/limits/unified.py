"""Unified limits: every project has what is registered for it in Keystone.

Contract images.md §18.4, operations.md §2.11. How they are read from Keystone is said
in ``registered.py``; they are held in the database, see ``db/usage.py``.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oslo_config import cfg

from imageservice import errors
from imageservice.domain.allowance import NAMES, UNLIMITED, Allowance
from imageservice.limits.inquiries import Inquiries
from imageservice.limits.seldom import Seldom

LOG = logging.getLogger(__name__)

OPTS: Sequence[cfg.Opt] = (
    cfg.BoolOpt(
        "use_keystone_limits",
        default=False,
        help="Hold the limits of projects that are registered in Keystone (unified "
        "limits): image_size_total and image_stage_total in MiB, image_count_total, "
        "image_count_uploading. A limit of -1 is none; one that is not registered is 0, "
        "which refuses everything. Needs the section [oslo_limit] and the extra "
        "imageservice[limits].",
    ),
    cfg.FloatOpt(
        "keystone_limits_cache_time",
        default=1.0,
        min=0.0,
        max=3600.0,
        help="Seconds for which a project's limits serve before Keystone is asked again, "
        "in each worker. A change of a limit counts after this time at the latest. "
        "0 asks for every request that takes room. Limits that are older are never "
        "used, even if Keystone does not answer.",
    ),
)

MOST = 2**63 - 1  # what the database can count


class Unified:
    """Asks Keystone, each time that an answer has become too old.

    ``read`` returns the limits of a project by name; it raises LimitsUnknown. Times are
    in seconds.
    """

    def __init__(
        self,
        read: Callable[[str], Mapping[str, int]],
        *,
        keep: float,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._patience = patience
        self._log = Seldom(LOG, clock)
        self._allowances = Inquiries(
            self._ask, keep=keep, patience=patience, clock=clock
        )

    def of(self, project_id: str | None) -> Allowance:
        if project_id is None:
            return UNLIMITED
        try:
            return self._allowances.answer(project_id)
        except TimeoutError:
            said = "Keystone has not told the limits of a project within %s s"
            self._log.error(said, self._patience)
            raise errors.LimitsUnknown() from None

    def _ask(self, project_id: str) -> Allowance:
        limits = self._read(project_id)
        for name in NAMES:
            if name not in limits:
                self._log.error(
                    "Keystone has no limit %s registered for the service and region of "
                    "the endpoint in [oslo_limit]: it counts as 0 and refuses every "
                    "project what it is about. To register it: openstack registered "
                    "limit create --service SERVICE --region REGION --default-limit "
                    "NUMBER %s (-1 for no limit)",
                    name,
                    name,
                )
        # Any: the other field of an Allowance is a name.
        found: dict[str, Any] = {
            field: _most(limits.get(name, 0), unit)
            for name, (field, unit) in NAMES.items()
        }
        return Allowance(**found)


def _most(limit: int, unit: int) -> int | None:
    return None if limit < 0 else min(limit * unit, MOST)
