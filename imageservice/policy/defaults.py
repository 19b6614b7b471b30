"""What the default checks of the rules say, and what a rule is.

Source: contract operations.md §1.2, verbatim: operators' files are compared with it.
"""

from typing import NamedTuple

ADMIN = "rule:context_is_admin"
MEMBER = f"{ADMIN} or (role:member and project_id:%(project_id)s)"
READER = f"{ADMIN} or (role:reader and project_id:%(project_id)s)"
CREATOR = (
    f"{ADMIN} or (role:member and project_id:%(project_id)s and project_id:%(owner)s)"
)
# Any reader passes for a shared image: that it is shared with *him* is the business
# of db/visibility.py, without which no image is loaded.
_IN_SIGHT = (
    "(project_id:%(project_id)s or project_id:%(member_id)s"
    " or 'community':%(visibility)s or 'public':%(visibility)s"
    " or 'shared':%(visibility)s)"
)
VIEWER = f"{ADMIN} or (role:reader and {_IN_SIGHT})"
DOWNLOADER = f"{ADMIN} or (role:member and {_IN_SIGHT})"
PARTY = (
    f"{ADMIN} or role:reader and"
    " (project_id:%(project_id)s or project_id:%(member_id)s)"
)
INVITED = f"{ADMIN} or (role:member and project_id:%(member_id)s)"

NAMESPACE_READER = (
    f"{ADMIN} or (role:reader and"
    " (project_id:%(project_id)s or 'public':%(visibility)s))"
)
NAMESPACE_ADMIN = "rule:metadef_admin"
SERVICE = "rule:service_api"


class Rule(NamedTuple):
    """One name that operators may override; ``guards`` are (method, path) pairs."""

    name: str
    check: str
    description: str
    guards: tuple[tuple[str, str], ...] = ()
