"""Members: the projects that an image is shared with (contract images.md §12)."""

import datetime
from typing import NamedTuple

STATUSES = ("pending", "accepted", "rejected")


class Member(NamedTuple):
    image_id: str
    member_id: str  # a project
    status: str
    created_at: datetime.datetime
    updated_at: datetime.datetime
