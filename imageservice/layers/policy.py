"""The policy ring: does the operator allow this operation to this caller.

Which rules an operation needs stands in policy/rules.py. Here stands what a refusal
looks like (contract images.md §2.3): who may not even see an image is told that there
is none.
"""

from collections.abc import Callable
from typing import Any

from imageservice import errors
from imageservice.context import Context
from imageservice.domain.image import Image
from imageservice.layers.base import Layer
from imageservice.policy import target as targets
from imageservice.policy.enforcer import SIGHT, Enforcer
from imageservice.policy.rules import ROWS, RULES
from imageservice.policy.target import Target


class Policy(Layer):
    """Ask the rules for the operations of ``resource``."""

    def __init__(self, resource: str, enforcer: Enforcer) -> None:
        self._resource = resource
        self._enforcer = enforcer

    # Any: the targets, arguments and answers of all operations pass here.
    def around(
        self,
        operation: str,
        inward: Callable[..., Any],
        ctx: Context,
        target: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        needed = RULES[self._resource, operation](target, *args, **kwargs)
        if needed:
            on = self._target(operation, ctx, target)
            if type(on) is targets.Existing and self._enforcer.hides_images:
                needed = (SIGHT, *needed)
            for rule in needed:
                if not self._enforcer.allows(rule, ctx, on):
                    raise self._refusal(rule, ctx, on, target, *args, **kwargs)
        answer = inward(ctx, target, *args, **kwargs)
        row = ROWS.get((self._resource, operation))
        if row is not None:
            # The page's marker stays: the next page begins behind the last row read.
            images = self._enforcer.filter(row, ctx, answer.images)
            answer = answer._replace(images=images)
        return answer

    def _target(self, operation: str, ctx: Context, target: object) -> Target:
        if not isinstance(target, Image):
            return targets.caller(ctx)
        if (self._resource, operation) == ("images", "create"):
            return targets.Proposed(ctx, target)
        return targets.Existing(ctx, target)

    def _refusal(
        self,
        rule: str,
        ctx: Context,
        on: Target,
        target: Any,
        member_id: object = None,
        *_args: object,
        **_kwargs: object,
    ) -> errors.Error:
        match on:
            case targets.Proposed():
                if rule == "add_image" and target.owner != ctx.project_id:
                    return errors.OwnerForbidden(owner=target.owner)
            case targets.Existing():
                if not self._enforcer.allows(SIGHT, ctx, on):
                    return errors.ImageNotFound(image_id=target.id)
                if rule == "get_member":
                    return errors.MemberNotFound(
                        image_id=target.id, member_id=member_id
                    )
        return errors.PolicyForbids(rule=rule)
