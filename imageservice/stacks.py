"""THE ORDER OF THE RINGS: read a function top to bottom, the way a request goes in."""

from typing import Any, NamedTuple, cast

from imageservice.layers import auth, location, notifier, policy, properties, quota
from imageservice.layers import locations as registering
from imageservice.layers.base import stack
from imageservice.layers.registrar import Registrar
from imageservice.limits.allowances import Allowances
from imageservice.notifications.events import Events
from imageservice.policy.enforcer import Enforcer
from imageservice.services import images as image_services
from imageservice.services import interfaces
from imageservice.services import locations as location_services
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
    locations: location_services.Locations
    registrar: Registrar
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
        registering.Images(p.registrar),  # which bytes are named, and are they there
        location.Images(p.stores, p.workers, p.digests),  # 5 bytes
        p.images,  # 6 domain rules and rows
    )
    return cast(interfaces.Images, rings)


def locations(p: Parts) -> interfaces.Locations:
    rings = stack(
        auth.Auth("locations"),
        registering.Queued(p.enforcer),  # published to be asked before policy
        notifier.Notify("locations", p.events),
        policy.Policy("locations", p.enforcer),
        registering.Locations(p.registrar),
        p.locations,
    )
    return cast(interfaces.Locations, rings)


def images_for_tasks(
    locations: location.Images, within: image_services.Images
) -> interfaces.Images:
    """For work that no request asks for: no rules, no limits, no events."""
    return cast(interfaces.Images, stack(locations, within))


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
