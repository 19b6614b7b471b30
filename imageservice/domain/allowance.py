"""What one project may have of everything, all its images together.

Where the numbers come from is said in ``limits/allowances.py``; they are held in the
transaction that takes the room, see ``db/usage.py``.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Allowance(NamedTuple):
    """The limits of one project; None: no limit. Sizes in bytes."""

    images: int | None  # that exist, with or without data
    bytes: int | None  # stored, and reserved by uploads under way
    uploading: int | None  # images whose data is on its way
    staged: int | None  # bytes that wait to be imported
    named: str = "image_size_total"  # what the operator calls the limit of bytes


UNLIMITED = Allowance(None, None, None, None)

#: What is given to an operation that has not passed the quota ring.
NOTHING = Allowance(0, 0, 0, 0)

MIB = 2**20

#: The registered names of the limits: the field above, and how many of it make one of
#: the registered unit (contract images.md §18.4).
NAMES: Mapping[str, tuple[str, int]] = {
    "image_size_total": ("bytes", MIB),
    "image_stage_total": ("staged", MIB),
    "image_count_total": ("images", 1),
    "image_count_uploading": ("uploading", 1),
}
