"""The S3 store: an object per key, in one bucket of a service that speaks S3.

Every write is a multipart upload, sent part by part and joined at the end: nothing is
visible before, and to abort the upload is to stop whoever still sends. A lock keeps two
writers of one key, or a writer and a ``discard``, from ending at the same moment
(docs/adr/0017-s3-store.md).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote, unquote

from oslo_config import cfg

from imageservice import errors
from imageservice.stores import endpoint
from imageservice.stores.bucket import Bucket
from imageservice.stores.calls import Unreached
from imageservice.stores.driver import (
    Capability,
    Driver,
    Listed,
    Reader,
    Workers,
    Written,
)
from imageservice.stores.locks import Locks
from imageservice.stores.multipart import Upload
from imageservice.stores.parts import MOST_PARTS, gather, sizes
from imageservice.stores.presigned import Presigned
from imageservice.stores.ranges import Range

LONGEST_KEY = 255
"""Characters; S3 allows 1024 bytes, but some services need room for the upload's id."""

SCHEME = re.compile(r"s3(\+https?)?://", re.IGNORECASE)

ROUNDS = 3
"""How often ``discard`` looks for uploads that came while it removed others."""


class S3(Driver):
    """One bucket."""

    kind = "s3"
    OPTS: Sequence[cfg.Opt] = endpoint.OPTS
    capabilities = (
        Capability.READ
        | Capability.RANGE
        | Capability.WRITE
        | Capability.DELETE
        | Capability.SIZE
        | Capability.LIST
        | Capability.REDIRECT
    )

    most_parts = MOST_PARTS  # of an upload

    def __init__(self, name: str, workers: Workers, plan: endpoint.Plan) -> None:
        super().__init__(name, workers)
        self._plan = plan
        self._bucket = Bucket(name, plan)
        self._locks = Locks(self._bucket)
        self._presigned = Presigned(plan)

    @classmethod
    def configured(
        cls, name: str, options: Mapping[str, Any], workers: Workers
    ) -> Self:
        return cls(name, workers, endpoint.plan(name, options))

    def create(self) -> None:
        if self._plan.may_create:
            self._bucket.create()

    def claims(self) -> list[str]:
        return [f"the bucket {self._plan.bucket} of {self._plan.host}"]

    def check(self) -> None:
        if not self._plan.may_create or self._bucket.is_there():
            self._bucket.look()

    def properties(self) -> dict[str, Any]:
        return dict(self._plan.shown)

    # --- writing ---

    def write(self, key: str, data: Reader, size: int | None) -> Written:
        self._plain(key)
        upload = Upload(self._bucket, self._locks, key, self._plan.lanes)
        try:
            upload.begin()
            self._send(data, size, upload)
            upload.publish()
        except BaseException:
            upload.abandon()
            raise
        return Written(self._url(key), upload.size, {})

    def _send(self, data: Reader, size: int | None, upload: Upload) -> None:
        for count in sizes(self._plan.chunk, size, self.most_parts):
            upload.make_room(count)
            part = gather(data, count)
            if len(part) or not upload.size:  # nothing at all is one empty part
                upload.add(part)
            if len(part) < count:
                return
        if data.read(1):
            reason = (
                f"{upload.size} bytes are all that it takes without being told the size "
                "before: send it, or have s3_store_large_object_chunk_size raised"
            )
            raise errors.StoreFull(store=self.name, reason=reason)

    # --- reading ---

    def read(self, url: str, offset: int = 0, length: int | None = None) -> Range:
        key = self._key(url)
        if length == 0:
            self._within(key, offset, self.size(url))
            return Range(self._bucket, key, None, offset, offset)
        opened = self._bucket.open(key, offset, length)
        if opened is None:
            total = self.size(url)
            end = offset if length is None else offset + length
            self._within(key, end, total)
            return Range(self._bucket, key, None, offset, offset)
        end = opened.total if length is None else offset + length
        if opened.length < end - offset:
            opened.stream.close()
            self._within(key, end, offset + opened.length)
        return Range(self._bucket, key, opened, offset, end)

    def _within(self, key: str, end: int, size: int) -> None:
        if end > size:
            reason = f"{key} has {size} bytes, fewer than it should"
            raise errors.StoreUnavailable(store=self.name, reason=reason)

    def size(self, url: str) -> int:
        key = self._key(url)
        found = self._bucket.find(key)
        if found is None:
            # With the bucket nothing has gone: it may be a wrong name.
            self._bucket.look()
            raise errors.KeyNotFound(store=self.name, key=key)
        return found.size

    def listing(self) -> Iterator[Listed]:
        if self._plan.may_create and not self._bucket.is_there():
            return
        for key, size, age_s in self._bucket.objects():
            if self._is_plain(key):
                yield Listed(key, self._url(key), size, age_s)
        for key, age_s in self._bucket.all_uploads():
            if self._is_plain(key):
                yield Listed(key, "", None, age_s)

    def canonical(self, url: str) -> str:
        return self._url(self._key(url))

    def redirect(self, url: str, lifetime_s: int) -> str:
        return self._presigned.url(self._key(url), lifetime_s)

    # --- removing ---

    def delete(self, url: str) -> None:
        self.size(url)  # to remove what is not there is no error for S3
        try:
            self._bucket.remove(self._key(url))
        except Unreached:
            raise
        except errors.StoreUnavailable as error:
            # It may have been obeyed: a service that fails does not say how far it came.
            reason = "nobody knows whether the data is gone"
            raise errors.RemainsLeft(store=self.name, reason=reason) from error

    def discard(self, key: str) -> None:
        self._plain(key)
        try:
            self._discard(key)
        except errors.StoreDenied:
            if not self._plan.may_create or self._bucket.is_there():
                raise

    def _discard(self, key: str) -> None:
        try:
            with self._locks.held(key):
                self._empty(key)
        except errors.StoreFull:
            self._empty(key)  # no room for a lock: nobody publishes now, either

    def _empty(self, key: str) -> None:
        """Uploads first: a writer then fails, or has published what goes next."""
        for _ in range(ROUNDS):
            uploads = self._bucket.uploads(key)
            for upload in uploads:
                self._bucket.abort(key, upload)
            if not uploads:
                break
        self._bucket.remove(key)

    # --- names ---

    def _plain(self, key: str) -> str:
        """Raises LocationInvalid for what not every service takes as it is."""
        if not self._is_plain(key):
            raise errors.LocationInvalid(store=self.name)
        return key

    def _is_plain(self, key: str) -> bool:
        ok = key.isascii() and key.isprintable() and key not in ("", ".", "..")
        return ok and not set(key) & set("/\\") and len(key) <= LONGEST_KEY

    def _url(self, key: str) -> str:
        return f"s3://{self._plan.bucket}/{quote(key, safe='')}"

    def _key(self, url: str) -> str:
        """The key of a location of ours, or of one that the incumbent wrote.

        Its locations name a host, and older ones hold keys of an account, in which there
        may be slashes: all that is passed over. Raises LocationInvalid.
        Source: contract operations.md §3.1.
        """
        scheme = SCHEME.match(url)
        if scheme:
            fields = url[scheme.end() :].rpartition("@")[2].split("/")
            if len(fields) in (2, 3) and fields[-2] == self._plan.bucket:
                key = self._plain(unquote(fields[-1]))
                if quote(key, safe="") == fields[-1]:
                    return key
        raise errors.LocationInvalid(store=self.name)
