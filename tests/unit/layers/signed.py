"""A signed image that waits for its bytes, and what has to be true when it got none."""

from collections.abc import Callable
from typing import NamedTuple

from imageservice.db.usage import Usage, Used
from imageservice.domain.image import Image
from imageservice.stores.testing import Stream
from tests.unit.layers.node import CTX, Node


class Signed(NamedTuple):
    """An image that waits for ``data`` and nothing else."""

    node: Node
    image: Image
    data: bytes
    names: Callable[[], set[str]]  # of the files that the store holds

    def upload(self, data=None, size=None, images=None):
        known = self.data if data is None else data
        body = known if hasattr(known, "read") else Stream(known)
        rings = images or self.node.images
        image = self.node.services.find(CTX, self.image.id)
        rings.upload(CTX, image, body, size, None)

    def require_nothing_left(self):
        assert self.node.status(self.image) == "queued"
        assert self.names() == set()
        assert self.node.lease_rows.watch() == []
        assert Usage(self.node.database).of("p") == Used(images=1)

    def require_taken(self):
        self.upload()
        assert self.node.status(self.image) == "active"
