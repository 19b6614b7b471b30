"""What rules may test of the thing that is asked for (contract operations.md §1.1).

An owner that is None is left out: oslo.policy compares texts, and a caller without
project would own every image without owner.
"""

from collections.abc import Iterator, Mapping

from imageservice.context import Context
from imageservice.domain.image import BASE_ATTRIBUTES, Image

Target = Mapping[str, object]

#: Attributes that are read as they are; locations are no business of rules.
_PLAIN = (frozenset(Image._fields) & BASE_ATTRIBUTES) - {"locations", "owner"}

#: Names that a custom property cannot take over.
_OWN = BASE_ATTRIBUTES | {"project_id", "member_id", "image_id"}

#: Attributes that depend on nothing but an image's owner, visibility and membership.
RELATION = frozenset({"project_id", "owner", "member_id", "visibility"})


class Existing(Target):
    """An image as ``ctx`` sees it; attributes are looked up only when they are asked for."""

    __slots__ = ("_image", "_project")

    def __init__(self, ctx: Context, image: Image) -> None:
        self._image = image
        self._project = ctx.project_id

    def __getitem__(self, name: str) -> object:
        image = self._image
        if name in ("project_id", "owner"):
            if image.owner is not None:
                return image.owner
        elif name == "member_id":
            if self._is_member():
                return self._project
        elif name == "image_id":
            return image.id
        elif name in _PLAIN:
            return getattr(image, name)
        elif name not in _OWN:
            return image.properties[name]
        raise KeyError(name)

    def _is_member(self) -> bool:
        image = self._image
        return (
            image.membership is not None
            and image.visibility == "shared"
            and image.owner != self._project
        )

    def __iter__(self) -> Iterator[str]:
        names = {*_PLAIN, *_OWN, *self._image.properties}
        return iter([name for name in names if name in self])

    def __len__(self) -> int:
        return len(list(iter(self)))


class Proposed(Existing):
    """An image that is to be created.

    Rules see it as private unless more was asked for, although ``shared`` is what is
    stored by default: the published behaviour.
    """

    __slots__ = ()

    def __getitem__(self, name: str) -> object:
        if name == "visibility" and self._image.visibility == "shared":
            return "private"
        return super().__getitem__(name)


def caller(ctx: Context) -> Target:
    """The target of what concerns no image yet: the caller's own project."""
    return {} if ctx.project_id is None else {"project_id": ctx.project_id}
