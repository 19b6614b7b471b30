"""THE ORDER OF THE RINGS: read a function top to bottom, the way a request goes in."""

from typing import NamedTuple, cast

from imageservice.layers import auth, location, notifier, policy, quota
from imageservice.layers.base import stack
from imageservice.policy.enforcer import Enforcer
from imageservice.services import images as image_services
from imageservice.services import interfaces
from imageservice.services import members as member_services
from imageservice.stores import registry
from imageservice.stores.driver import Workers


class Parts(NamedTuple):
    """The built collaborators that the rings are made of."""

    enforcer: Enforcer
    events: notifier.Events
    limits: quota.Limits
    stores: registry.Stores
    workers: Workers
    digests: location.Digests
    images: image_services.Images
    members: member_services.Members


def images(p: Parts) -> interfaces.Images:
    rings = stack(
        auth.Auth(),  # 1 may you see it, may you touch it
        notifier.Notify(p.events),  # 2 tell others what happened, failures too
        policy.Policy(p.enforcer),  # 3 does the operator allow this operation
        quota.Images(p.limits),  # 4 is there room
        location.Images(p.stores, p.workers, p.digests),  # 5 bytes
        p.images,  # 6 domain rules and rows
    )
    return cast(interfaces.Images, rings)


def members(p: Parts) -> interfaces.Members:
    rings = stack(
        auth.Auth(),
        notifier.Notify(p.events),
        policy.Policy(p.enforcer),
        quota.Members(p.limits),
        p.members,
    )
    return cast(interfaces.Members, rings)
