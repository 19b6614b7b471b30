"""Where the limits of projects come from; they are held in ``db/usage.py``.

Contract images.md §18.4: a quota of storage that is the same for all, or unified limits
(``unified.py``), or none.
"""

import logging
import re
from collections.abc import Sequence
from typing import Protocol

from oslo_config import cfg, types

from imageservice.domain.allowance import UNLIMITED, Allowance
from imageservice.limits import registered, unified

LOG = logging.getLogger(__name__)

_SIZE = re.compile(r"([0-9]+)(B|KB|MB|GB|TB)?")
_UNITS = {None: 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_MOST = 2**63 - 1  # what the database can count


class Size(types.ConfigType):
    """A number of bytes, written with an optional binary unit: ``500GB``."""

    def __init__(self) -> None:
        super().__init__("size")

    def __call__(self, value: object) -> int:
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(str(value))
        if found is None:
            raise ValueError(
                f"'{value}' is not a whole number of bytes, nor one followed at once by"
                " B, KB, MB, GB or TB (1 KB = 1024 B)"
            )
        size = int(found[1]) * _UNITS[found[2]]
        if size > _MOST:
            raise ValueError(f"'{value}' is more than {_MOST} bytes")
        return size

    def _formatter(self, value: object) -> str:
        return str(value)


OPTS: Sequence[cfg.Opt] = (
    cfg.Opt(
        "user_storage_quota",
        type=Size(),
        default="0",
        sample_default="500GB",
        help="Most bytes that the images of one project may take in all stores together, "
        "the same for every project. A number, with B, KB, MB, GB or TB right behind it "
        "(1 KB = 1024 bytes). 0: no limit. Uploads are refused with 413, or stopped "
        "where the room ends. Without effect while use_keystone_limits is on.",
    ),
    *unified.OPTS,
)


class Allowances(Protocol):
    """Knows what each project may have."""

    def of(self, project_id: str | None) -> Allowance:
        """The limits of a project; who has no project is not limited.

        Raises Unavailable when they cannot be found out now.
        """
        ...


class Same:
    """The same for every project."""

    def __init__(self, allowance: Allowance = UNLIMITED) -> None:
        self._allowance = allowance

    def of(self, project_id: str | None) -> Allowance:
        return UNLIMITED if project_id is None else self._allowance


def from_config(conf: cfg.ConfigOpts) -> Allowances:
    """What the options of this module ask for. Raises Misconfigured."""
    if not conf.use_keystone_limits:
        quota = conf.user_storage_quota or None
        return Same(UNLIMITED._replace(bytes=quota, named="user_storage_quota"))
    if conf.user_storage_quota:
        LOG.warning("user_storage_quota: has no effect, use_keystone_limits is on")
    # Keystone itself is asked when there is something to ask: it may be down now.
    keystone = registered.Limits(conf)
    return unified.Unified(
        keystone.of, keep=conf.keystone_limits_cache_time, patience=keystone.timeout
    )
