"""What an update may do to an image: one change after the other, all or none.

Source of the rules: contract images.md §8.4.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from imageservice import errors
from imageservice.domain import image as images
from imageservice.domain import proposals
from imageservice.domain.proposals import Proposal

FROZEN_AFTER_QUEUED = frozenset({"disk_format", "container_format"})


class Change(NamedTuple):
    """One operation of a patch, its value already checked against the schema.

    ``add`` overwrites what is there, ``create`` refuses to (the 2.0 media type's add).
    ``place`` is an index, of locations only; None: their end, or all of them.
    """

    operation: Literal["add", "create", "replace", "remove"]
    name: str
    value: object = None
    place: int | None = None

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """The locations that it names; none if it is about something else."""
        if self.name != "locations":
            return ()
        if isinstance(self.value, Proposal):
            return (self.value,)
        return self.value if isinstance(self.value, tuple) else ()


def apply(
    image: images.Image, changes: Iterable[Change], *, is_admin: bool
) -> images.Image:
    """Return the image as it will be after ``changes``.

    Raises AttributeReadOnly, AttributeReserved, AttributeNotRemovable, AttributeFrozen,
    OwnerChangeForbidden, PropertyMissing, PropertyExists, and what
    ``proposals.apply`` raises.
    """
    for change in changes:
        if change.name == "locations":
            image = proposals.apply(image, change)
            continue
        check_name(change.name)
        if change.name in images.BASE_ATTRIBUTES:
            image = _attribute(image, change, is_admin)
        else:
            image = _property(image, change)
    return image


def check_name(name: str) -> None:
    """Refuse names that no change may touch: AttributeReadOnly, AttributeReserved."""
    if name == "id" or name == "locations" or name in images.READ_ONLY:
        raise errors.AttributeReadOnly(name=name)
    if images.is_reserved(name):
        raise errors.AttributeReserved(name=name)


def _attribute(image: images.Image, change: Change, is_admin: bool) -> images.Image:
    name, value = change.name, change.value
    if change.operation == "remove":
        raise errors.AttributeNotRemovable(name=name)
    if change.operation == "create":
        raise errors.PropertyExists(name=name)
    if name == "owner":
        # Also for the value it has already, and for add as for replace (✗11).
        if not is_admin:
            raise errors.OwnerChangeForbidden()
        value = value or None
    if name in FROZEN_AFTER_QUEUED and image.status not in ("queued", "importing"):
        raise errors.AttributeFrozen(name=name)
    if name == "tags":
        assert isinstance(value, list)  # by the schema
        value = tuple(dict.fromkeys(value))
    # Any: the schema has given each attribute a value of its own type.
    changed: dict[str, Any] = {name: value}
    return image._replace(**changed)


def _property(image: images.Image, change: Change) -> images.Image:
    name = change.name
    exists = name in image.properties
    if change.operation in ("replace", "remove") and not exists:
        raise errors.PropertyMissing(name=name)
    if change.operation == "create" and exists:
        raise errors.PropertyExists(name=name)
    if change.operation == "remove":
        rest = {k: v for k, v in image.properties.items() if k != name}
        return image._replace(properties=rest)
    assert change.value is None or isinstance(change.value, str)  # by the schema
    return image._replace(properties={**image.properties, name: change.value})
