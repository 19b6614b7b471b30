"""The options of an S3 store, and the plan that comes of them."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from oslo_config import cfg

from imageservice import errors

MIB = 1024 * 1024

#: Names that can be the first label of a host name.
DNS_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")

AWS_HOST = re.compile(r"(?:.*\.)?s3[.-](?:dualstack\.)?([a-z0-9-]+)\.amazonaws\.com")

CHECKSUMS = [
    ("when_required", "only where the interface demands it"),
    ("when_supported", "wherever the interface has it"),
]

OPTS: Sequence[cfg.Opt] = (
    cfg.StrOpt(
        "s3_store_host",
        help="Address of the S3 service: https://s3.example.net, with :port where it is "
        "not the usual one. Without a scheme it is http. It is kept in no location: a "
        "service that moves needs a change here and nowhere else.",
    ),
    cfg.StrOpt(
        "s3_store_region_name",
        default="",
        help="Region to sign requests for. If empty it is taken from host names of "
        "Amazon's form, else us-east-1, which Ceph and Swift accept.",
    ),
    cfg.StrOpt("s3_store_access_key", secret=True, help="Access key of the account."),
    cfg.StrOpt("s3_store_secret_key", secret=True, help="Secret key of the account."),
    cfg.StrOpt(
        "s3_store_bucket",
        help="Bucket for images. Give it to nothing else. The account needs to read, "
        "write, delete and list objects in it, and to list and abort multipart uploads.",
    ),
    cfg.BoolOpt(
        "s3_store_create_bucket_on_put",
        default=False,
        help="Make the bucket when it is missing. If false, a missing bucket is an error: "
        "safer, as nobody then fills a new bucket because of a misspelt name.",
    ),
    cfg.StrOpt(
        "s3_store_bucket_url_format",
        default="auto",
        choices=[
            ("auto", "as the library thinks fit"),
            ("virtual", "in the host name, which needs a DNS entry for the bucket"),
            ("path", "in the path: for a Ceph or Swift without such entries"),
        ],
        help="Where the bucket is named in requests.",
    ),
    cfg.IntOpt(
        "s3_store_large_object_size",
        default=100,
        min=0,
        help="MiB. Accepted, shown to users, and not used: every upload is a multipart upload, "
        "for only such a one can be taken back at any moment.",
    ),
    cfg.IntOpt(
        "s3_store_large_object_chunk_size",
        default=10,
        min=5,
        help="MiB of a part. Grows by itself for images that would need more than 10000 "
        "parts: to a 10000th of a size that is known before (105 MiB for 1 TiB), else "
        "to 48 MiB, which is enough for 400 GiB; what is longer is refused then. For "
        "uploads of 1 TiB that do not tell their size set 105. A transfer holds up to 48 "
        "MiB of parts in memory, or one part where that is more: larger parts save "
        "requests, and fewer are sent at once.",
    ),
    cfg.IntOpt(
        "s3_store_thread_pools",
        default=10,
        min=1,
        help="Parts of one upload that are sent at the same time at most. With 1 an "
        "upload is slower where the service is far; more than fit into 48 MiB are "
        "never sent.",
    ),
    cfg.StrOpt(
        "s3_store_cacert",
        default="",
        help="File with the certificates of the authorities that sign the service's "
        "certificate. If empty, those that come with the library.",
    ),
    cfg.BoolOpt(
        "s3_store_enable_data_integrity_protection",
        default=False,
        help="Obey the next two options. If false both are when_required: many services "
        "that speak S3 refuse the newer checksums over https.",
    ),
    cfg.StrOpt(
        "s3_store_request_checksum_calculation",
        default="when_required",
        choices=CHECKSUMS,
        help="When a checksum is sent with a part.",
    ),
    cfg.StrOpt(
        "s3_store_response_checksum_validation",
        default="when_required",
        choices=CHECKSUMS,
        help="When the stored checksum of a download is asked for and compared: before the "
        "last MiB is passed on, so that the download breaks if they differ. Whole objects "
        "alone have one, and of those uploaded in parts only some of Amazon's.",
    ),
    cfg.StrOpt(
        "s3_store_redirect_endpoint",
        default="",
        help="Address of the service for clients, with redirect = true: "
        "https://s3.example.net. If empty, s3_store_host. With http the images, and the "
        "tokens of most clients, can be read on their way.",
    ),
    cfg.IntOpt(
        "s3_store_connect_timeout",
        default=10,
        min=1,
        help="Seconds to wait for a connection. A call is tried three times.",
    ),
    cfg.IntOpt(
        "s3_store_read_timeout",
        default=60,
        min=1,
        help="Seconds without a single byte of an answer, or taken of a part, after which "
        "a call is given up; it is tried three times. Must be longer than the service "
        "takes to join the parts of the largest image.",
    ),
)


class Plan(NamedTuple):
    """What the options of one store mean."""

    host: str  # a URL
    redirect_host: str  # a URL, for clients
    region: str
    is_amazon: bool
    access_key: str
    secret_key: str
    bucket: str
    may_create: bool
    style: str  # auto, virtual or path
    chunk: int  # bytes of a part
    lanes: int  # parts that are sent at once
    cacert: str  # a path, or empty
    request_checksum: str
    response_checksum: str
    connect_s: int
    read_s: int
    shown: Mapping[str, Any]  # to users, sizes in bytes

    @property
    def compares(self) -> bool:
        """Whether downloads are to be compared with stored checksums."""
        return self.response_checksum != "when_required"


def plan(store: str, options: Mapping[str, Any]) -> Plan:
    """Read the options. Raises Misconfigured."""
    for name in ("host", "access_key", "secret_key", "bucket"):
        if not options[f"s3_store_{name}"]:
            raise _wrong(store, f"s3_store_{name} has to be set")
    host = _host(store, "s3_store_host", options["s3_store_host"])
    for_clients = options["s3_store_redirect_endpoint"] or host
    bucket = options["s3_store_bucket"]
    if "/" in bucket or not bucket.isprintable() or " " in bucket:
        raise _wrong(store, f"s3_store_bucket: {bucket!r} cannot name a bucket")
    style = options["s3_store_bucket_url_format"]
    if style == "virtual" and not DNS_NAME.fullmatch(bucket):
        reason = f"s3_store_bucket: {bucket} cannot be part of a host name: use s3_store_bucket_url_format = path"
        raise _wrong(store, reason)
    cacert = options["s3_store_cacert"]
    if cacert and not os.access(cacert, os.R_OK):
        raise _wrong(store, f"s3_store_cacert: {cacert} cannot be read")
    chunk = options["s3_store_large_object_chunk_size"] * MIB
    protects = options["s3_store_enable_data_integrity_protection"]
    return Plan(
        host=host,
        redirect_host=_host(store, "s3_store_redirect_endpoint", for_clients),
        region=options["s3_store_region_name"] or _region(host),
        is_amazon=(urlsplit(host).hostname or "").endswith(".amazonaws.com"),
        access_key=options["s3_store_access_key"],
        secret_key=options["s3_store_secret_key"],
        bucket=bucket,
        may_create=options["s3_store_create_bucket_on_put"],
        style=style,
        chunk=chunk,
        lanes=options["s3_store_thread_pools"],
        cacert=cacert,
        request_checksum=_checksum(protects, options, "request_checksum_calculation"),
        response_checksum=_checksum(protects, options, "response_checksum_validation"),
        connect_s=options["s3_store_connect_timeout"],
        read_s=options["s3_store_read_timeout"],
        shown={
            "s3_store_large_object_size": options["s3_store_large_object_size"] * MIB,
            "s3_store_large_object_chunk_size": chunk,
            "s3_store_thread_pools": options["s3_store_thread_pools"],
        },
    )


def _wrong(store: str, what: str) -> errors.Misconfigured:
    return errors.Misconfigured(reason=f"store '{store}': {what}")


def _checksum(protects: bool, options: Mapping[str, Any], name: str) -> str:
    return str(options[f"s3_store_{name}"]) if protects else "when_required"


def _host(store: str, option: str, value: str) -> str:
    url = value if "://" in value else f"http://{value}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _wrong(store, f"{option} has to be like https://s3.example.net")
    if parts.username or parts.password or parts.query or parts.fragment:
        reason = (
            f"{option} takes no keys: s3_store_access_key and s3_store_secret_key do"
        )
        raise _wrong(store, reason)
    return url.rstrip("/")


def _region(host: str) -> str:
    found = AWS_HOST.fullmatch(urlsplit(host).hostname or "")
    return found[1] if found else "us-east-1"
