"""One call to an S3 service: its attempts, and the library's errors as errors of stores.

boto3 is used from request code alone, never through ``Workers``: the sockets and locks of
a process are patched for greenlets as a whole, and a native thread must not share them.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import boto3
import botocore.config
import urllib3.exceptions
from botocore import exceptions

from imageservice import errors
from imageservice.stores.endpoint import Plan
from imageservice.stores.parts import Part

LOG = logging.getLogger(__name__)

# They would log signatures, which are as good as keys for a while, whenever the service
# is told to debug.
for _name in ("botocore.auth", "botocore.endpoint"):
    logging.getLogger(_name).setLevel(logging.INFO)

ATTEMPTS = 3
"""How often a call is made before it has failed."""

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

BUSY = frozenset({
    "408", "429", "BandwidthLimitExceeded", "OperationAborted", "RequestLimitExceeded",
    "RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests",
    "TooManyRequestsException",
})  # fmt: skip
"""Answers after which a call is made again."""

CHANGES = frozenset({
    "complete_multipart_upload", "create_multipart_upload", "delete_object", "put_object",
})  # fmt: skip
"""Calls that leave something behind when they were obeyed and the answer was lost."""

#: What means that nothing was sent.
UNREACHED = (
    exceptions.EndpointConnectionError,
    exceptions.ConnectTimeoutError,
    exceptions.SSLError,
    exceptions.ProxyConnectionError,
)


class Lost(errors.StoreUnavailable):
    """No answer, or one that says nothing: the call may have been obeyed, or may be yet."""


class Unreached(errors.StoreUnavailable):
    """The service was not reached by any attempt: the call was not obeyed."""


class Refused(Exception):
    """An answer that the caller of a call has to understand; never leaves this package."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Calls:
    """The calls on the bucket of one store; nothing is contacted before the first."""

    def __init__(self, store: str, plan: Plan) -> None:
        self.store = store
        self._plan = plan
        self._lock = threading.Lock()
        self._made: Any = None  # botocore's client

    @property
    def client(self) -> Any:
        # Making it takes 0.2 s of CPU; it is safe to share, and keeps the connections.
        with self._lock:
            if self._made is None:
                self._made = client(self._plan)
            return self._made

    def make(
        self, operation: str, *, tells: Any = (), tolerates: Any = (), **values: Any
    ) -> Any:
        """Make a call. Codes in ``tells`` raise Refused, those in ``tolerates`` are fine.

        Raises Unreached if no attempt reached the service, Lost if one of them may have
        been obeyed or may be yet.
        """
        lost = unreached = None
        for attempt in range(ATTEMPTS):
            if attempt:
                nap(attempt + 1)
            try:
                return self._once(operation, values)
            except Lost as error:
                lost = error
            except Unreached as error:
                unreached = error
            except Refused as refused:
                if refused.code in tolerates:
                    return {}
                if refused.code in tells:
                    raise
                if lost and operation in CHANGES:
                    break  # what is refused now may have been done before
                self._refuse(operation, refused, values.get("Key"))
        raise lost or unreached or AssertionError("nothing was tried")

    def _once(self, operation: str, values: Mapping[str, Any]) -> Any:
        body = values.get("Body")
        if isinstance(body, Part):
            body.seek(0)
        with self.translated(operation, values.get("Key")):
            method = getattr(self.client, operation)
            return method(Bucket=self._plan.bucket, **values)

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
        self.unavailable(f"the service answers {code}", refused)

    @contextlib.contextmanager
    def translated(self, operation: str, key: str | None) -> Iterator[None]:
        """Turn the library's errors into ours; answers become Refused, vague ones Lost."""
        try:
            yield
        except exceptions.ClientError as error:
            LOG.debug("store %s: %s of %s: %s", self.store, operation, key, error)
            code = str(error.response.get("Error", {}).get("Code", ""))
            if not _is_refusal(code, error.response):
                LOG.warning("store %s: %s: %s", self.store, operation, error)
                reason = f"the service answers {code or 'nonsense'}"
                raise Lost(store=self.store, reason=reason) from error
            raise Refused(code) from error
        except exceptions.FlexibleChecksumError as error:
            # Not Lost: what is read again from the middle is not compared at all.
            LOG.error("store %s: %s of %s: %s", self.store, operation, key, error)
            self.unavailable("the data are not what was stored", error)
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

    def unavailable(self, reason: str, cause: BaseException | None = None) -> NoReturn:
        raise errors.StoreUnavailable(store=self.store, reason=reason) from cause


def _is_refusal(code: str, response: Mapping[str, Any]) -> bool:
    """Whether the service says that it does not obey; a proxy's 504 says nothing."""
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code in FULL or (code not in BUSY and 300 <= status < 500)


def client(plan: Plan) -> Any:
    """Make the library's client: it contacts nobody."""
    options: dict[str, Any] = {
        "signature_version": "s3v4",
        "connect_timeout": plan.connect_s,
        "read_timeout": plan.read_s,
        "max_pool_connections": max(10, 4 * plan.lanes),
        # The library would tell the last failure only; an earlier attempt may have
        # been obeyed. See Calls.make.
        "retries": {"mode": "standard", "total_max_attempts": 1},
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
