"""THE ORDER OF THE RINGS: read a function top to bottom, the way a request goes in."""

from typing import Any, NamedTuple, cast

from imageservice.layers import auth, location, notifier, policy, properties, quota
from imageservice.layers.base import stack
from imageservice.limits.allowances import Allowances
from imageservice.notifications.events import Events
from imageservice.policy.enforcer import Enforcer
from imageservice.services import images as image_services
from imageservice.services import interfaces
from imageservice.services import members as member_services
from imageservice.services import stores as store_services
from imageservice.services import usage as usage_services
from imageservice.stores import registry
from imageservice.stores.driver import Workers


class Parts(NamedTuple):
    """The built collaborators that the rings are made of."""

    enforcer: Enforcer
    events: Events
    rights: properties.Rights | None  # None: no property is protected
    limits: quota.Limits
    allowances: Allowances
    stores: registry.Stores
    workers: Workers
    digests: location.Digests
    images: image_services.Images
    members: member_services.Members
    listed_stores: store_services.Stores[Any]  # whatever the API shows of a store
    usage: usage_services.Usage


def images(p: Parts) -> interfaces.Images:
    shown = [properties.Shown(p.rights)] if p.rights else []
    guarded = [properties.Guarded(p.rights)] if p.rights else []
    known = {"known": p.rights.readable} if p.rights else {}
    rings = stack(
        auth.Auth("images"),  # 1 may you see it, may you touch it
        *shown,  # where configured: which properties you see
        notifier.Notify("images", p.events),  # 2 tell others, of failures too
        policy.Policy("images", p.enforcer),  # 3 does the operator allow it
        *guarded,  # where configured: which properties you may write
        quota.Images(p.limits, p.allowances, **known),  # 4 is there room
        location.Images(p.stores, p.workers, p.digests),  # 5 bytes
        p.images,  # 6 domain rules and rows
    )
    return cast(interfaces.Images, rings)


def members(p: Parts) -> interfaces.Members:
    rings = stack(
        auth.Auth("members"),
        notifier.Notify("members", p.events),
        policy.Policy("members", p.enforcer),
        p.members,
    )
    return cast(interfaces.Members, rings)


def stores(p: Parts) -> store_services.Stores[Any]:
    rings = stack(
        auth.Auth("stores"), policy.Policy("stores", p.enforcer), p.listed_stores
    )
    return cast(store_services.Stores[Any], rings)


def usage(p: Parts) -> interfaces.Usage:
    rings = stack(auth.Auth("usage"), policy.Policy("usage", p.enforcer), p.usage)
    return cast(interfaces.Usage, rings)
