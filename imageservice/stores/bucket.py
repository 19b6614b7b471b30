"""One bucket of an S3 service: what a store needs of it, in the errors of stores."""

import datetime
import email.utils
import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from imageservice import errors
from imageservice.stores.calls import (
    EXISTS,
    MISSING,
    NO_BUCKET,
    NO_UPLOAD,
    OURS,
    OUT_OF_RANGE,
    Calls,
    Refused,
)
from imageservice.stores.endpoint import Plan
from imageservice.stores.parts import Part

LOG = logging.getLogger(__name__)

WRITER = "imageservice-writer"
"""Metadata of an object: the one write that made it."""


class Found(NamedTuple):
    """An object that is there."""

    size: int  # bytes
    writer: str | None
    age_s: float  # by the service's clock


class Opened(NamedTuple):
    """An object that is being read."""

    stream: Any  # botocore's StreamingBody
    length: int  # bytes of the stream
    total: int  # bytes of the object
    etag: str


class Bucket:
    """The bucket of a store; nothing is contacted before the first call."""

    def __init__(self, store: str, plan: Plan) -> None:
        self.store = store
        self.plan = plan
        self.calls = Calls(store, plan)

    # --- the bucket itself ---

    def look(self) -> None:
        """Raise StoreDenied or StoreUnavailable if the bucket cannot be used."""
        self.calls.make("head_bucket")

    def is_there(self) -> bool:
        """Tell whether there is such a bucket."""
        try:
            self.calls.make("head_bucket", tells=MISSING)
        except Refused:
            return False
        return True

    def create(self) -> None:
        plan, values = self.plan, {}
        if plan.is_amazon and plan.region != "us-east-1":
            values["CreateBucketConfiguration"] = {"LocationConstraint": plan.region}
        self.calls.make("create_bucket", tolerates=OURS, **values)

    # --- uploads ---

    def begin(self, key: str, writer: str) -> str:
        """Start a multipart upload, in a new bucket if need be and allowed."""
        may_create = self.plan.may_create
        try:
            return self._begin(key, writer, NO_BUCKET if may_create else ())
        except Refused:
            self.create()
            return self._begin(key, writer, ())

    def _begin(self, key: str, writer: str, tells: Any) -> str:
        made = self.calls.make(
            "create_multipart_upload", tells=tells, Key=key, Metadata={WRITER: writer}
        )
        return str(made["UploadId"])

    def send(self, key: str, upload: str, number: int, part: Part) -> Mapping[str, Any]:
        """Store one part; returns what ``join`` needs of it."""
        sent = self.calls.make(
            "upload_part",
            Key=key,
            UploadId=upload,
            PartNumber=number,
            Body=part,
            ContentLength=len(part),
        )
        sums = {
            name: value
            for name, value in sent.items()
            if name.startswith("Checksum") and name != "ChecksumType"
        }
        return {"PartNumber": number, "ETag": sent["ETag"], **sums}

    def join(self, key: str, upload: str, parts: list[Mapping[str, Any]]) -> None:
        """Make the parts an object."""
        self.calls.make(
            "complete_multipart_upload",
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": parts},
        )

    def abort(self, key: str, upload: str) -> None:
        """Remove an upload and its parts, if it is still there."""
        gone = NO_UPLOAD | MISSING  # Swift says that the key is missing
        self.calls.make(
            "abort_multipart_upload", tolerates=gone, Key=key, UploadId=upload
        )

    def uploads(self, key: str) -> list[str]:
        """The unfinished uploads of exactly this key."""
        # Of all pages: longer keys come before ours in some services.
        return [
            str(each["UploadId"])
            for page in self._uploads(Prefix=key)
            for each in page.get("Uploads", ())
            if each["Key"] == key
        ]

    def all_uploads(self) -> Iterator[tuple[str, float]]:
        """The keys of all unfinished uploads, each with its age in seconds."""
        for page in self._uploads():
            for each in page.get("Uploads", ()):
                yield str(each["Key"]), _age_s(page, each["Initiated"])

    def _uploads(self, **wanted: str) -> Iterator[Mapping[str, Any]]:
        place: dict[str, str] = {}
        while True:
            page = self.calls.make("list_multipart_uploads", **wanted, **place)
            yield page
            listed = page.get("Uploads", ())
            if not page.get("IsTruncated") or not listed:
                return
            last = place
            place = {
                "KeyMarker": page.get("NextKeyMarker") or listed[-1]["Key"],
                "UploadIdMarker": page.get("NextUploadIdMarker")
                or listed[-1]["UploadId"],
            }
            if place == last:
                self.calls.unavailable("it lists the same uploads again and again")

    # --- objects ---

    def find(self, key: str) -> Found | None:
        """Look for an object; None also if the whole bucket is missing: see ``is_there``.

        An answer to HEAD has no text that would tell the two apart.
        """
        try:
            found = self.calls.make("head_object", tells=MISSING, Key=key)
        except Refused:
            return None
        return Found(
            found["ContentLength"],
            found.get("Metadata", {}).get(WRITER),
            _age_s(found, found["LastModified"]),
        )

    def objects(self) -> Iterator[tuple[str, int, float]]:
        """All objects: key, size in bytes, age in seconds; raises StoreDenied without a bucket."""
        place: dict[str, str] = {}
        while True:
            page = self.calls.make("list_objects_v2", **place)
            for each in page.get("Contents", ()):
                age_s = _age_s(page, each["LastModified"])
                yield str(each["Key"]), int(each["Size"]), age_s
            if not page.get("IsTruncated"):
                return
            place = {"ContinuationToken": page["NextContinuationToken"]}

    def open(
        self, key: str, offset: int, length: int | None, etag: str | None = None
    ) -> Opened | None:
        """Begin to read ``length`` bytes (1 at least), None to the end.

        Returns None if the object ends before ``offset``; with ``etag``, only that very
        object is read. Raises KeyNotFound. Where checksums are to be compared, what begins
        at 0 is opened as a whole, for ranges have none.
        """
        wanted = {}
        if offset or (length is not None and not self.plan.compares):
            last = "" if length is None else offset + length - 1
            wanted["Range"] = f"bytes={offset}-{last}"
        if etag:
            wanted["IfMatch"] = etag
        try:
            found = self.calls.make(
                "get_object", tells=MISSING | OUT_OF_RANGE | EXISTS, Key=key, **wanted
            )
        except Refused as refused:
            if refused.code in OUT_OF_RANGE:
                return None
            if refused.code in EXISTS:
                self.calls.unavailable("the object changed while it was read")
            raise errors.KeyNotFound(store=self.store, key=key) from None
        return self._opened(found, offset if wanted.get("Range") else None)

    def _opened(self, found: Mapping[str, Any], offset: int | None) -> Opened:
        size = int(found["ContentLength"])
        total = size
        if offset is not None:
            span, _, whole = found.get("ContentRange", "").partition("/")
            if not span.startswith(f"bytes {offset}-") or not whole.isdecimal():
                found["Body"].close()
                self.calls.unavailable(
                    "it does not answer with the range that was asked"
                )
            total = int(whole)
        return Opened(found["Body"], size, total, found.get("ETag", ""))

    def remove(self, key: str) -> None:
        """Remove an object; fine if there is none."""
        self.calls.make("delete_object", tolerates=MISSING, Key=key)

    def put_new(self, name: str, writer: str) -> bool:
        """Store an empty object if there is none of that name; tells whether it did."""
        try:
            self.put(name, writer, tells=EXISTS, IfNoneMatch="*")
        except Refused:
            return False
        return True

    def put(self, name: str, writer: str, **how: Any) -> None:
        """Store an empty object, in the place of one that may be there."""
        written = {WRITER: writer}
        self.calls.make("put_object", Key=name, Body=b"", Metadata=written, **how)


def _age_s(answer: Mapping[str, Any], since: datetime.datetime) -> float:
    """Seconds since then, by the clock of the service that gave the answer."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    now = email.utils.parsedate_to_datetime(date) if date else since
    return (now - since).total_seconds()
