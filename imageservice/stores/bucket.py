"""One bucket of an S3 service: the calls that a store needs, in the errors of stores.

boto3 is used from request code alone, never through ``Workers``: the sockets and locks of
a process are patched for greenlets as a whole, and a native thread must not share them.
"""

import contextlib
import email.utils
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import boto3
import botocore.config
import urllib3.exceptions
from botocore import exceptions

from imageservice import errors
from imageservice.stores.endpoint import Plan
from imageservice.stores.parts import Part

LOG = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a call is made before it has failed."""

WRITER = "imageservice-writer"
"""Metadata of an object: the one write that made it."""

LOCKS = ".publishing/"
"""Beginning of the names of locks; keys of images hold no slash."""

MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
NO_UPLOAD = frozenset({"NoSuchUpload"})
NO_BUCKET = frozenset({"NoSuchBucket"})
EXISTS = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
OUT_OF_RANGE = frozenset({"InvalidRange", "416"})
FULL = frozenset({"QuotaExceeded", "InsufficientStorage", "EntityTooLarge", "507"})
OURS = frozenset({"BucketAlreadyOwnedByYou"})
DENIED = {
    "AccessDenied": "the account may not do this",
    "AllAccessDisabled": "the account is disabled",
    "InvalidAccessKeyId": "the access key is unknown there",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "RequestTimeTooSkewed": "the clocks differ too much",
    "AuthorizationHeaderMalformed": "the region is wrong",
    "PermanentRedirect": "the bucket is in another region",
    "NoSuchBucket": "its bucket is not there: make it, or set s3_store_create_bucket_on_put",
    "401": "the keys are not accepted",
    "403": "the keys are wrong or the account may not do this",
    "301": "the bucket is in another region",
}

#: What means that nothing was sent.
UNREACHED = (
    exceptions.EndpointConnectionError,
    exceptions.ConnectTimeoutError,
    exceptions.SSLError,
    exceptions.ProxyConnectionError,
)


class Lost(errors.StoreUnavailable):
    """No answer came: whether the call was obeyed is unknown."""


class Unreached(errors.StoreUnavailable):
    """The service was not reached: the call was not obeyed."""


class Refused(Exception):
    """An answer that the caller of a call has to understand; never leaves this package."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


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
        self._lock = threading.Lock()
        self._made: Any = None  # botocore's client

    @property
    def _client(self) -> Any:
        # Making it takes 0.2 s of CPU; it is safe to share, and keeps the connections.
        with self._lock:
            if self._made is None:
                self._made = client(self.plan)
            return self._made

    # --- the bucket itself ---

    def look(self) -> None:
        """Raise StoreDenied or StoreUnavailable if the bucket cannot be used."""
        self._call("head_bucket")

    def is_there(self) -> bool:
        """Tell whether there is such a bucket."""
        try:
            self._call("head_bucket", tells=MISSING)
        except Refused:
            return False
        return True

    def create(self) -> None:
        plan, values = self.plan, {}
        if plan.is_amazon and plan.region != "us-east-1":
            values["CreateBucketConfiguration"] = {"LocationConstraint": plan.region}
        self._call("create_bucket", tolerates=OURS, **values)

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
        made = self._call(
            "create_multipart_upload", tells=tells, Key=key, Metadata={WRITER: writer}
        )
        return str(made["UploadId"])

    def send(self, key: str, upload: str, number: int, part: Part) -> Mapping[str, Any]:
        """Store one part; returns what ``join`` needs of it."""
        sent = self._call(
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
        self._call(
            "complete_multipart_upload",
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": parts},
        )

    def abort(self, key: str, upload: str) -> None:
        """Remove an upload and its parts, if it is still there."""
        gone = NO_UPLOAD | MISSING  # Swift says that the key is missing
        self._call("abort_multipart_upload", tolerates=gone, Key=key, UploadId=upload)

    def uploads(self, key: str) -> list[str]:
        """The unfinished uploads of exactly this key."""
        found: list[str] = []
        place: dict[str, str] = {}
        while True:
            page = self._call("list_multipart_uploads", Prefix=key, **place)
            listed = page.get("Uploads", ())
            # Of all pages: longer keys come before ours in some services.
            found += [str(each["UploadId"]) for each in listed if each["Key"] == key]
            if not page.get("IsTruncated") or not listed:
                return found
            last = place
            place = {
                "KeyMarker": page.get("NextKeyMarker") or listed[-1]["Key"],
                "UploadIdMarker": page.get("NextUploadIdMarker")
                or listed[-1]["UploadId"],
            }
            if place == last:
                self._unavailable("it lists the same uploads again and again")

    # --- objects ---

    def find(self, key: str) -> Found | None:
        """Look for an object; None also if the whole bucket is missing: see ``is_there``.

        An answer to HEAD has no text that would tell the two apart.
        """
        try:
            found = self._call("head_object", tells=MISSING, Key=key)
        except Refused:
            return None
        date = found["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = email.utils.parsedate_to_datetime(date) if date else found["LastModified"]
        age_s = (now - found["LastModified"]).total_seconds()
        return Found(
            found["ContentLength"], found.get("Metadata", {}).get(WRITER), age_s
        )

    def open(
        self, key: str, offset: int, length: int | None, etag: str | None = None
    ) -> Opened | None:
        """Begin to read ``length`` bytes (1 at least), None to the end.

        Returns None if the object ends before ``offset``; with ``etag``, only that very
        object is read. Raises KeyNotFound.
        """
        wanted = {}
        if offset or length is not None:
            last = "" if length is None else offset + length - 1
            wanted["Range"] = f"bytes={offset}-{last}"
        if etag:
            wanted["IfMatch"] = etag
        try:
            found = self._call(
                "get_object", tells=MISSING | OUT_OF_RANGE | EXISTS, Key=key, **wanted
            )
        except Refused as refused:
            if refused.code in OUT_OF_RANGE:
                return None
            if refused.code in EXISTS:
                self._unavailable("the object changed while it was read")
            raise errors.KeyNotFound(store=self.store, key=key) from None
        return self._opened(found, offset if wanted.get("Range") else None)

    def _opened(self, found: Mapping[str, Any], offset: int | None) -> Opened:
        size = int(found["ContentLength"])
        total = size
        if offset is not None:
            span, _, whole = found.get("ContentRange", "").partition("/")
            if not span.startswith(f"bytes {offset}-") or not whole.isdecimal():
                found["Body"].close()
                self._unavailable("it does not answer with the range that was asked")
            total = int(whole)
        return Opened(found["Body"], size, total, found.get("ETag", ""))

    def remove(self, key: str) -> None:
        """Remove an object; fine if there is none."""
        self._call("delete_object", tolerates=MISSING, Key=key)

    # --- locks ---

    @contextlib.contextmanager
    def locked(self, key: str, writer: str) -> Iterator[bool]:
        """Hold the lock of a key for a while; gives False if somebody else has it."""
        try:
            taken = self._take(LOCKS + key, writer)
        except Lost:
            # It may be ours now, and nobody would know.
            with contextlib.suppress(errors.Error):
                held = self.find(LOCKS + key)
                if held and held.writer == writer:
                    self._give_back(LOCKS + key)
            raise
        try:
            yield taken
        finally:
            if taken:
                self._give_back(LOCKS + key)

    def _take(self, name: str, writer: str) -> bool:
        for _ in range(2):
            try:
                self._call(
                    "put_object",
                    tells=EXISTS,
                    Key=name,
                    Body=b"",
                    IfNoneMatch="*",
                    Metadata={WRITER: writer},
                )
            except Refused:
                held = self.find(name)
                if held and held.writer == writer:
                    return True  # the first answer was lost, and the call made again
                if held and held.age_s < self.longest_s:
                    return False
                if held:
                    LOG.warning(
                        "store %s: %s is %d s old", self.store, name, held.age_s
                    )
                self.remove(name)
            else:
                return True
        return False

    def _give_back(self, name: str) -> None:
        try:
            self.remove(name)
        except errors.Error as error:
            LOG.warning("store %s: %s is left for now: %s", self.store, name, error)

    @property
    def longest_s(self) -> int:
        """Seconds that one holds a lock at most: four calls, and what is between.

        The lock of one who died is free after that.
        """
        return 5 * ATTEMPTS * (self.plan.connect_s + self.plan.read_s)

    # --- one call ---

    def _call(
        self, operation: str, *, tells: Any = (), tolerates: Any = (), **values: Any
    ) -> Any:
        """Make a call. Codes in ``tells`` raise Refused, those in ``tolerates`` are fine."""
        try:
            with self.translated(operation, values.get("Key")):
                method = getattr(self._client, operation)
                return method(Bucket=self.plan.bucket, **values)
        except Refused as refused:
            if refused.code in tolerates:
                return {}
            if refused.code in tells:
                raise
            self._refuse(operation, refused, values.get("Key"))

    def _refuse(self, operation: str, refused: Refused, key: str | None) -> NoReturn:
        code = refused.code
        if code in NO_UPLOAD:
            raise errors.LeaseLost(image_id=key) from refused
        if code in FULL:
            reason = f"the service answers {code}"
            raise errors.StoreFull(store=self.store, reason=reason) from refused
        if code in DENIED or (code in MISSING and operation == "head_bucket"):
            reason = DENIED.get(code, DENIED["NoSuchBucket"])
            raise errors.StoreDenied(store=self.store, reason=reason) from refused
        self._unavailable(f"the service answers {code or 'nonsense'}", refused)

    @contextlib.contextmanager
    def translated(self, operation: str, key: str | None) -> Iterator[None]:
        """Turn the library's errors into ours; answers become Refused."""
        try:
            yield
        except exceptions.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            LOG.debug("store %s: %s of %s: %s", self.store, operation, key, error)
            raise Refused(code) from error
        except UNREACHED as error:
            LOG.warning("store %s: %s: %s", self.store, operation, error)
            reason = "it cannot be reached"
            raise Unreached(store=self.store, reason=reason) from error
        except (
            exceptions.BotoCoreError,
            urllib3.exceptions.HTTPError,
            OSError,
        ) as error:
            LOG.warning("store %s: %s: %s", self.store, operation, error)
            reason = f"no answer ({type(error).__name__})"
            raise Lost(store=self.store, reason=reason) from error

    def _unavailable(self, reason: str, cause: BaseException | None = None) -> NoReturn:
        raise errors.StoreUnavailable(store=self.store, reason=reason) from cause


def client(plan: Plan) -> Any:
    """Make the library's client: it contacts nobody."""
    options: dict[str, Any] = {
        "signature_version": "s3v4",
        "connect_timeout": plan.connect_s,
        "read_timeout": plan.read_s,
        "max_pool_connections": max(10, 4 * plan.lanes),
        "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        "request_checksum_calculation": plan.request_checksum,
        "response_checksum_validation": plan.response_checksum,
        "s3": {
            "addressing_style": plan.style,
            # TLS protects the bytes on their way; without it the signature does, for
            # 0.5 to 2 s of CPU per GiB.
            "payload_signing_enabled": not plan.host.startswith("https:"),
        },
    }
    return boto3.session.Session().client(
        "s3",
        endpoint_url=plan.host,
        region_name=plan.region,
        aws_access_key_id=plan.access_key,
        aws_secret_access_key=plan.secret_key,
        verify=plan.cacert or None,
        config=botocore.config.Config(**options),
    )


def nap(attempt: int) -> None:
    """Wait a little, longer each time: 0.1 s, 0.2 s, 0.4 s ..."""
    time.sleep(0.1 * 2**attempt)
