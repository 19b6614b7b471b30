"""The rings of property protection: who may see and change which custom properties.

They are there only if ``property_protection_file`` is set. ``Shown`` is far out, so
that policies, events and rows further in have the image as it is; ``Guarded`` is behind
the policies, so that who may not touch or see an image at all is told that first.
Source: contract images.md §18.5 with ✗24 and ✗27, operations.md §1.4; docs/adr/0015.
"""

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path

from oslo_config import cfg

from imageservice import errors
from imageservice.context import Context
from imageservice.domain import protection
from imageservice.domain.changes import Change
from imageservice.domain.image import BASE_ATTRIBUTES, Image
from imageservice.domain.protection import Right
from imageservice.domain.query import NOWHERE, Page, Query
from imageservice.layers.base import Layer
from imageservice.policy.enforcer import Enforcer
from imageservice.services import interfaces

OPTS: Sequence[cfg.Opt] = (
    cfg.StrOpt(
        "property_protection_file",
        help="File that says which callers may create, read, update and delete which "
        "custom properties; looked for in the folders of the configuration. Unset: "
        "whoever may change an image may change all of its properties. Where it is "
        "set, a property that no section of it finds is forbidden to everybody. It is "
        "read at the start only, and a mistake in it ends the start. Begin with "
        "etc/property-protections.ini.sample.",
    ),
    cfg.StrOpt(
        "property_protection_rule_format",
        default="roles",
        choices=[
            ("roles", "names of roles, separated by commas; one of them is enough"),
            ("policies", "the name of one policy rule, of ours or of policy.yaml"),
        ],
        help="What stands in property_protection_file behind each right. Policies are "
        "asked without a target: they can test the caller only.",
    ),
)


def load(conf: cfg.ConfigOpts) -> protection.Protection | None:
    """Read the file that OPTS name; None if they name none. Raises Misconfigured."""
    name = conf.property_protection_file
    if not name:
        return None
    path = conf.find_file(name)
    if path is None:
        raise errors.Misconfigured(
            reason=f"property_protection_file: there is no file {name}. Create it or"
            " remove the option."
        )
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = f"property_protection_file: {path}: {error}. Correct the file."
        raise errors.Misconfigured(reason=reason) from error
    return protection.parse(text, path, conf.property_protection_rule_format)


class Rights:
    """Who has which right on which property; ``enforcer`` knows all its policies."""

    def __init__(self, protected: protection.Protection, enforcer: Enforcer) -> None:
        self._protected = protected
        self._enforcer = enforcer

    def may(self, ctx: Context, right: Right, name: str) -> bool:
        holders = self._protected.holders(right, name)
        if holders.everybody:
            return True
        if holders.policy is not None:
            return self._enforcer.allows(holders.policy, ctx, {})
        # Roles of a service that calls for a user count as well, here and nowhere
        # else: they are never added to the caller's own.
        roles = holders.roles
        return not (roles.isdisjoint(ctx.roles) and roles.isdisjoint(ctx.service_roles))

    def may_read(self, ctx: Context, name: str) -> bool:
        return self.may(ctx, "read", name)

    def readable(self, ctx: Context, names: Collection[str]) -> set[str]:
        return {name for name in names if self.may(ctx, "read", name)}


_AT = Image._fields.index("properties")


class _Sight:
    """What one caller sees of images; each name is looked up once."""

    def __init__(self, rights: Rights, ctx: Context) -> None:
        self._rights = rights
        self._ctx = ctx
        self._open: set[str] = set()
        self._closed: set[str] = set()

    def of(self, image: Image) -> Image:
        names = image.properties.keys()
        if names <= self._open:
            return image
        new = names - self._open - self._closed
        if new:
            self._open |= self._rights.readable(self._ctx, new)
            self._closed |= new - self._open
            if names <= self._open:
                return image
        seen = dict(image.properties)
        for name in names & self._closed:
            del seen[name]
        # As _replace() does, in a third of the time: lists do it a thousand times.
        return Image._make((*image[:_AT], seen, *image[_AT + 1 :]))


class Shown(Layer):
    """Show and find no property that the caller may not read."""

    inner: interfaces.Images

    def __init__(self, rights: Rights) -> None:
        self._rights = rights

    def list(self, ctx: Context, query: Query) -> Page:
        # As if no image had such a property (✗24); everything else about the query is
        # still judged further in, so that its errors are those of any other name.
        if not all(self._rights.may_read(ctx, name) for name, _ in query.properties):
            conditions = (*query.conditions, NOWHERE)
            query = dataclasses.replace(query, properties=(), conditions=conditions)
        page = self.inner.list(ctx, query)
        sight = _Sight(self._rights, ctx)
        return page._replace(images=[sight.of(image) for image in page.images])

    def show(self, ctx: Context, image: Image) -> Image:
        return self._seen(ctx, self.inner.show(ctx, image))

    def create(self, ctx: Context, image: Image) -> Image:
        return self._seen(ctx, self.inner.create(ctx, image))

    def update(self, ctx: Context, image: Image, changes: Sequence[Change]) -> Image:
        return self._seen(ctx, self.inner.update(ctx, image, changes))

    def _seen(self, ctx: Context, image: Image) -> Image:
        return _Sight(self._rights, ctx).of(image)


class Guarded(Layer):
    """Let nobody write a property without the right to it.

    Changes reach the rows as they are, and touch nothing but what they name: what the
    caller does not see stays (✗27).
    """

    inner: interfaces.Images

    def __init__(self, rights: Rights) -> None:
        self._rights = rights

    def create(self, ctx: Context, image: Image) -> Image:
        for name in image.properties:
            self._require(ctx, "create", name)
        return self.inner.create(ctx, image)

    def update(self, ctx: Context, image: Image, changes: Sequence[Change]) -> Image:
        seen = self._rights.readable(ctx, image.properties)
        for change in changes:
            if change.name not in BASE_ATTRIBUTES:
                self._check(ctx, change, seen)
        return self.inner.update(ctx, image, changes)

    def _check(self, ctx: Context, change: Change, seen: set[str]) -> None:
        """Judge one change of a property, and note in ``seen`` what it does."""
        operation, name = change.operation, change.name
        if operation in ("replace", "remove"):
            if name not in seen:
                raise errors.PropertyMissing(name=name)
            self._require(ctx, "update" if operation == "replace" else "delete", name)
        elif name in seen:
            if operation == "create":
                raise errors.PropertyExists(name=name)
            self._require(ctx, "update", name)
        else:
            # There may be one already, which the caller does not see: it must not be
            # overwritten, and a refusal only then would tell him of it.
            self._require(ctx, "read", name)
            self._require(ctx, "create", name)
            seen.add(name)
        if operation == "remove":
            seen.discard(name)

    def _require(self, ctx: Context, right: Right, name: str) -> None:
        if not self._rights.may(ctx, right, name):
            raise errors.PropertyReserved(name=name)
