"""Who may see an image: the one statement of that rule, as SQL.

Source: contract images.md §7 and ✗18. An image without owner is seen by ordinary
projects only when it is public or community; a caller without project owns nothing;
what is on its way out (``HIDDEN_STATUSES``) is seen by nobody.

Statements bind the viewer's project as ``:project``.
"""

from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    exists,
    literal_column,
    null,
    or_,
    select,
)
from sqlalchemy.sql.expression import true

from imageservice.db.tables import image_members, images
from imageservice.db.types import Key
from imageservice.domain.image import HIDDEN_STATUSES
from imageservice.domain.query import Viewer

Predicate = ColumnElement[bool]

PROJECT = bindparam("project", type_=Key(255))
MEMBER_STATUS = bindparam("member_status", type_=Key(20))


class Eyes(NamedTuple):
    """What of a viewer changes the statement, and not only its values."""

    is_admin: bool
    has_project: bool


def eyes(viewer: Viewer) -> Eyes:
    return Eyes(viewer.is_admin, viewer.project_id is not None)


def _word(text: str) -> ColumnElement[str]:
    """A word of ours, written out: each bound value costs time at every execution."""
    return literal_column(f"'{text}'", Key(len(text)))


def is_alive() -> Predicate:
    return and_(*(images.c.status != _word(s) for s in sorted(HIDDEN_STATUSES)))


def _is_own() -> Predicate:
    return images.c.owner == PROJECT


def _is_open() -> Predicate:
    return or_(*(images.c.visibility == _word(w) for w in ("public", "community")))


def _is_shared_by_another() -> Predicate:
    # An owner that is NULL differs from nothing, so ✗18 holds.
    return and_(images.c.visibility == "shared", images.c.owner != PROJECT)


def by_id(viewer: Eyes) -> Predicate:
    """The images that the viewer may see when he knows their ids."""
    if viewer.is_admin:
        return is_alive()
    if not viewer.has_project:
        return and_(is_alive(), _is_open())
    member = exists().where(
        image_members.c.image_id == images.c.id, image_members.c.member_id == PROJECT
    )
    shared = and_(_is_shared_by_another(), member)
    return and_(is_alive(), or_(_is_own(), _is_open(), shared))


def membership(viewer: Eyes) -> ColumnElement[Any]:
    """The viewer's own member status, where somebody else shares the image with him."""
    if not viewer.has_project:
        return null().label("membership")
    status = (
        select(image_members.c.status)
        .where(
            image_members.c.image_id == images.c.id,
            image_members.c.member_id == PROJECT,
        )
        .correlate(images)
        .scalar_subquery()
    )
    by_another = images.c.owner.is_distinct_from(PROJECT)
    shared = and_(images.c.visibility == "shared", by_another)
    return case((shared, status), else_=null()).label("membership")


class Branch(NamedTuple):
    """One part of a list; no image is in two parts of the same list."""

    predicate: Predicate
    #: What the predicate pins: one owner's images, those shared with one project, those
    #: of one visibility, or nothing.
    pins: Literal["owner", "member", "visibility", None] = None

    @property
    def is_of_project(self) -> bool:
        """True if it grows with one project only, and not with the cloud."""
        return self.pins in ("owner", "member")


def branches(viewer: Eyes, visibility: str | None, *, any_status: bool) -> list[Branch]:
    """The parts of a list: each is walked in its own order, then they are merged.

    ``visibility`` as in ``Query``: None is the default list. With ``any_status`` what
    is shared with the viewer is listed whatever he said to it, else where he said
    ``:member_status``.
    """
    if viewer.is_admin:
        pins: Literal["visibility", None] = (
            None if visibility in (None, "all") else "visibility"
        )
        return [Branch(_for_admin(viewer, visibility), pins)]
    parts = []
    if viewer.has_project and visibility in (None, "all"):
        parts.append(Branch(_is_own(), "owner"))
    elif viewer.has_project and visibility in ("shared", "private"):
        parts.append(
            Branch(and_(_is_own(), images.c.visibility == _word(visibility)), "owner")
        )
    if viewer.has_project and visibility in (None, "all", "shared"):
        parts.append(_shared(any_status=any_status))
    for name in ("public", "community"):
        if visibility == name:
            parts.append(Branch(images.c.visibility == _word(name), "visibility"))
        elif visibility == "all" or (visibility is None and name == "public"):
            parts.append(Branch(_open_of_others(viewer, name), "visibility"))
    return parts


def _for_admin(viewer: Eyes, visibility: str | None) -> Predicate:
    if visibility == "all":
        return true()
    if visibility is not None:
        return images.c.visibility == _word(visibility)
    is_no_community = images.c.visibility != "community"
    return or_(is_no_community, _is_own()) if viewer.has_project else is_no_community


def _open_of_others(viewer: Eyes, visibility: str) -> Predicate:
    """Public or community images but the viewer's own, which another part has."""
    chosen = images.c.visibility == _word(visibility)
    if not viewer.has_project:
        return chosen
    return and_(chosen, images.c.owner.is_distinct_from(PROJECT))


def _shared(*, any_status: bool) -> Branch:
    said = true() if any_status else image_members.c.status == MEMBER_STATUS
    member = and_(image_members.c.member_id == PROJECT, said)
    return Branch(and_(_is_shared_by_another(), member), "member")
