"""The quota ring: is there room. Every limit of ours, and where each is held.

What a project may have is found out here, for the owner of the image, and handed inward:
the transaction that takes the room holds it (``db/usage.py``).

The limits on properties, on whole sets of tags and on the size of an image are held
here. A single tag or member may come from two requests at once, and nothing but the
database sees both: it counts them while it holds the image's row (``add_tag`` in
db/images.py, ``insert`` in db/members.py), up to the limits that services are given.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Self

from oslo_config import cfg

from imageservice import errors
from imageservice.context import Context
from imageservice.data.readers import Limited
from imageservice.domain import changes as rules
from imageservice.domain.allowance import NOTHING, Allowance
from imageservice.domain.changes import Change
from imageservice.domain.image import RESERVED_PREFIX, Image
from imageservice.layers.base import Layer
from imageservice.limits.allowances import Allowances
from imageservice.services import interfaces
from imageservice.stores.driver import Reader

OPTS: Sequence[cfg.Opt] = (
    cfg.IntOpt(
        "image_size_cap",
        default=1024**4,
        min=1,
        max=2**63 - 1,
        help="Largest image, in bytes (default 1 TiB). An upload is stopped with 413 at "
        "the first byte beyond it, whatever size was announced. Locations that clients "
        "register may not hold more either.",
    ),
    cfg.IntOpt(
        "image_property_quota",
        default=128,
        help="Most custom properties of one image. Negative: no limit. Every property "
        "is part of every list that shows the image.",
    ),
    cfg.IntOpt(
        "image_tag_quota",
        default=128,
        help="Most tags of one image. Negative: no limit.",
    ),
    cfg.IntOpt(
        "image_location_quota",
        default=10,
        help="Most places where the bytes of one image lie, of those that clients name. "
        "Negative: no limit.",
    ),
    cfg.IntOpt(
        "image_member_quota",
        default=128,
        help="Most projects that one image is shared with. Negative: no limit. To give "
        "an image to everybody, make it public or community instead.",
    ),
)


#: Operations whose limit is held where the row is written, and that limit.
IN_DATABASE: Mapping[tuple[str, str], str] = {
    ("images", "add_tag"): "image_tag_quota",
    ("members", "add"): "image_member_quota",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """The values of OPTS: bytes and counts; a negative count is no limit."""

    image_size_cap: int = 1024**4
    image_property_quota: int = 128
    image_tag_quota: int = 128
    image_location_quota: int = 10
    image_member_quota: int = 128

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> Self:
        return cls(
            **{field.name: conf[field.name] for field in dataclasses.fields(cls)}
        )


#: Those of some properties that a caller may know of.
Known = Callable[[Context, Collection[str]], Collection[str]]


def _all(_ctx: Context, names: Collection[str]) -> Collection[str]:
    return names


class Images(Layer):
    """Let nothing in that is more than an image may have."""

    inner: interfaces.Images

    def __init__(
        self, limits: Limits, allowances: Allowances, known: Known = _all
    ) -> None:
        self._limits = limits
        self._allowances = allowances
        self._known = known

    def create(
        self, ctx: Context, image: Image, allowance: Allowance = NOTHING
    ) -> Image:
        self._check_tags(image.tags)
        self._check_properties(image.properties)
        return self.inner.create(ctx, image, self._allowances.of(image.owner))

    def update(
        self,
        ctx: Context,
        image: Image,
        changes: Sequence[Change],
        allowance: Allowance = NOTHING,
    ) -> Image:
        after = rules.apply(image, changes, is_admin=bool(ctx.is_admin))
        # An image over a limit that was lowered can still be changed in other ways.
        if set(after.tags) - set(image.tags):
            self._check_tags(after.tags)
        if after.properties.keys() - image.properties.keys():
            # Where the limit is met tells how many there are: nobody learns so of
            # properties that are hidden from him.
            self._check_properties(self._known(ctx, after.properties))
        if len(after.locations) > len(image.locations):
            self._check_locations(len(after.locations))
            allowance = self._allowances.of(image.owner)
        return self.inner.update(ctx, image, changes, allowance)

    def upload(
        self,
        ctx: Context,
        image: Image,
        data: Reader,
        size: int | None,
        store: str | None,
        allowance: Allowance = NOTHING,
    ) -> None:
        maximum = self._limits.image_size_cap
        error = errors.ImageSizeLimit(image_id=image.id, maximum=maximum)
        if size is not None and size > maximum:
            raise error
        limited = Limited(data, maximum, error)
        allowance = self._allowances.of(image.owner)
        self.inner.upload(ctx, image, limited, size, store, allowance)

    def _check_locations(self, attempted: int) -> None:
        maximum = self._limits.image_location_quota
        if 0 <= maximum < attempted:
            raise errors.LocationLimit(attempted=attempted, maximum=maximum)

    def _check_tags(self, tags: Collection[str]) -> None:
        attempted, maximum = len(set(tags)), self._limits.image_tag_quota
        if 0 <= maximum < attempted:
            raise errors.TagLimit(attempted=attempted, maximum=maximum)

    def _check_properties(self, names: Collection[str]) -> None:
        # What the service itself notes down takes no room from users.
        attempted = sum(not name.startswith(RESERVED_PREFIX) for name in names)
        maximum = self._limits.image_property_quota
        if 0 <= maximum < attempted:
            raise errors.PropertyLimit(attempted=attempted, maximum=maximum)
