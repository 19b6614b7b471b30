"""Who asks: the identity of a request, as the rings and the log see it."""

import functools
from collections.abc import Iterable
from typing import Any

from oslo_context import context as oslo_context


class Context(oslo_context.RequestContext):
    """The caller of one request; treat it as frozen once it is built.

    On top of oslo's fields (``user_id``, ``project_id``, ``request_id``): ``roles`` are
    lower-cased (images.md §1.4), ``is_admin`` is the value of the policy rule
    ``context_is_admin`` for these roles and ``read_only`` marks an anonymous caller.

    Creating one also makes it the context that log lines of this request carry.
    """

    def __init__(
        self,
        *,
        roles: Iterable[str] = (),
        service_roles: Iterable[str] = (),
        is_admin: bool = False,
        read_only: bool = False,
        **kwargs: Any,  # oslo's own fields, passed on as they are
    ) -> None:
        super().__init__(
            roles=[role.lower() for role in roles],
            service_roles=[role.lower() for role in service_roles],
            is_admin=is_admin,
            read_only=read_only,
            **kwargs,
        )

    @functools.cached_property
    def credentials(self) -> dict[str, Any]:
        """What policy rules may test of the caller; made once, for they ask often."""
        return dict(self.to_policy_values().items())
