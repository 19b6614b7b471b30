"""Handlers of an image's tags (contract images.md §13)."""

from imageservice import errors
from imageservice.api import words
from imageservice.api.answer import EMPTY, Answer
from imageservice.api.request import Request

TAG_MAX = 255


def add(request: Request) -> Answer:
    """Tag an image; a tag that it has already is no error."""
    tag = request.path["tag"]
    if len(tag) > TAG_MAX:
        raise errors.BadRequest(reason=f"A tag is at most {TAG_MAX} characters long.")
    words.check_text("A tag", tag)
    request.images.add_tag(request.ctx, request.image, tag)
    return EMPTY


def remove(request: Request) -> Answer:
    """Take a tag from an image."""
    request.images.remove_tag(request.ctx, request.image, request.path["tag"])
    return EMPTY
