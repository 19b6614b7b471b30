"""The auth ring: may the caller see it at all, and may he touch anything.

It decides by what the caller *is* to a thing, for which operators have no rule: an
anonymous caller changes nothing, lists are narrowed to the viewer, and a member of an
image sees his own row only. Which roles an operation takes is the policy ring's.
Whether an image is visible is asked in the database (db/visibility.py) by ``find``.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Any

from imageservice import errors
from imageservice.context import Context
from imageservice.domain.image import Image
from imageservice.domain.query import Viewer
from imageservice.layers.base import Layer


class Need(enum.Flag):
    """What an operation needs; no flag: nothing beyond a target that was found."""

    NOTHING = 0
    CHANGE = enum.auto()  # more than read-only access
    VIEWER = enum.auto()  # the query is narrowed to what the caller may see
    OWN_ROW = enum.auto()  # the member is the caller's project, or the image is
    OWN_ROWS = enum.auto()  # the same, for each row of the answer


#: An operation that has no row here cannot be called at all.
NEEDS: Mapping[tuple[str, str], Need] = {
    ("images", "list"): Need.VIEWER,
    ("images", "find"): Need.NOTHING,  # innermost, it is for the viewer in any case
    ("images", "show"): Need.NOTHING,
    ("images", "create"): Need.CHANGE,
    ("images", "update"): Need.CHANGE,
    ("images", "delete"): Need.CHANGE,
    ("images", "upload"): Need.CHANGE,
    ("images", "download"): Need.NOTHING,
    ("images", "remove_copy"): Need.CHANGE,
    ("images", "deactivate"): Need.CHANGE,
    ("images", "reactivate"): Need.CHANGE,
    ("images", "add_tag"): Need.CHANGE,
    ("images", "remove_tag"): Need.CHANGE,
    ("locations", "list"): Need.NOTHING,
    ("locations", "add"): Need.CHANGE,
    ("members", "list"): Need.OWN_ROWS,
    ("members", "show"): Need.OWN_ROW,
    ("members", "add"): Need.CHANGE,
    ("members", "change"): Need.CHANGE | Need.OWN_ROW,
    ("members", "remove"): Need.CHANGE | Need.OWN_ROW,
    ("stores", "detail"): Need.NOTHING,
    ("usage", "show"): Need.NOTHING,  # it is about the caller's own project
    ("usage", "room"): Need.NOTHING,
}


class Auth(Layer):
    """The outermost ring of ``resource``."""

    def __init__(self, resource: str) -> None:
        self._resource = resource

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
        need = NEEDS[self._resource, operation]
        if ctx.read_only and Need.CHANGE in need:
            raise errors.ReadOnlyAccess()
        if Need.VIEWER in need:
            viewer = Viewer(ctx.project_id, bool(ctx.is_admin))
            target = dataclasses.replace(target, viewer=viewer)
        elif Need.OWN_ROW in need:
            self._require_own_row(ctx, target, *args, **kwargs)
        answer = inward(ctx, target, *args, **kwargs)
        if Need.OWN_ROWS in need and not _sees_all_rows(ctx, target):
            answer = [row for row in answer if row.member_id == ctx.project_id]
        return answer

    def _require_own_row(
        self,
        ctx: Context,
        image: Image,
        member_id: str,
        *_args: object,
        **_kwargs: object,
    ) -> None:
        # Rows of images that are not shared are nobody's: services/members.py says so.
        if image.visibility != "shared" or _sees_all_rows(ctx, image):
            return
        if member_id != ctx.project_id:
            # Whom policy does not let see the image at all is told that first.
            self.inner.show(ctx, image, member_id)
            raise errors.MemberNotFound(image_id=image.id, member_id=member_id)


def _sees_all_rows(ctx: Context, image: Image) -> bool:
    if ctx.is_admin:
        return True
    return image.owner is not None and image.owner == ctx.project_id
