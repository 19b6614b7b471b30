"""URLs by which clients read objects of a bucket themselves, signed with its account."""

import threading
from typing import Any

from imageservice.stores import calls
from imageservice.stores.endpoint import Plan


class Presigned:
    """Signs for the address by which clients reach the service; it contacts nobody."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan._replace(host=plan.redirect_host)
        self._lock = threading.Lock()
        self._made: Any = None  # botocore's client

    def url(self, key: str, lifetime_s: int) -> str:
        """The URL of an object for so many seconds. It is a secret."""
        with self._lock:
            if self._made is None:
                self._made = calls.client(self._plan)
        wanted = {
            "Bucket": self._plan.bucket,
            "Key": key,
            # Clients take nothing else for an image's data, and objects have no type.
            "ResponseContentType": "application/octet-stream",
        }
        signed: str = self._made.generate_presigned_url(
            "get_object", Params=wanted, ExpiresIn=lifetime_s
        )
        return signed
