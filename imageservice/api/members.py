"""Handlers of an image's members: with whom it is shared (contract images.md §12)."""

from imageservice import errors
from imageservice.api import answer, body, words
from imageservice.api.answer import EMPTY, Answer
from imageservice.api.request import Request
from imageservice.domain import member as domain

MEMBER_ID_MAX = 255


def new_member(request: Request) -> str:
    """Read ``{"member": project}``; other keys are ignored."""
    member_id = body.json_object(request).get("member")
    if not isinstance(member_id, str) or not 1 <= len(member_id) <= MEMBER_ID_MAX:
        raise errors.BadRequest(
            reason='The body must be {"member": "PROJECT ID"}, the id being 1 to '
            f"{MEMBER_ID_MAX} characters long."
        )
    words.check_text("A project id", member_id)
    return member_id


def new_status(request: Request) -> str:
    """Read ``{"status": status}``; other keys are ignored."""
    status = body.json_object(request).get("status")
    if not isinstance(status, str) or status not in domain.STATUSES:
        raise errors.BadRequest(
            reason=f"The body must give a status, one of {', '.join(domain.STATUSES)}."
        )
    return status


def index(request: Request) -> Answer:
    """List an image's members."""
    members = request.members.list(request.ctx, request.image)
    render = request.surface.render.member
    return answer.json(
        {"members": [render(m) for m in members], "schema": "/v2/schemas/members"}
    )


def add(request: Request) -> Answer:
    """Offer an image to another project."""
    member = request.members.add(request.ctx, request.image, request.body)
    return answer.json(request.surface.render.member(member))


def show(request: Request) -> Answer:
    """Show one member. Whatever stands against it, the answer is 404."""
    member_id = request.path["member_id"]
    try:
        member = request.members.show(request.ctx, request.image, member_id)
    except errors.Forbidden:
        raise errors.MemberNotFound(
            image_id=request.image.id, member_id=member_id
        ) from None
    return answer.json(request.surface.render.member(member))


def change(request: Request) -> Answer:
    """Accept or reject an image that was offered."""
    member_id, status = request.path["member_id"], request.body
    member = request.members.change(request.ctx, request.image, member_id, status)
    return answer.json(request.surface.render.member(member))


def remove(request: Request) -> Answer:
    """Take back the offer of an image."""
    request.members.remove(request.ctx, request.image, request.path["member_id"])
    return EMPTY
