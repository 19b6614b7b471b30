"""What the API is configured with: its options, and the values the handlers see."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from oslo_config import cfg

from imageservice import errors
from imageservice.api.schema import extension
from imageservice.api.schema.documents import CONTAINER_FORMATS, DISK_FORMATS

OPTS: Sequence[cfg.Opt] = (
    cfg.IntOpt(
        "limit_param_default",
        default=25,
        min=1,
        help="Images in one page of a list when the client names no limit. Larger "
        "pages save round trips and cost memory and time per request.",
    ),
    cfg.IntOpt(
        "api_limit_max",
        default=1000,
        min=1,
        help="Most images in one page of a list; a client that asks for more silently "
        "gets this many. 1000 images are about 1 MB of JSON.",
    ),
    cfg.URIOpt(
        "public_endpoint",
        schemes=["http", "https"],
        help="Base URL under which clients reach this service, e.g. "
        "https://cloud.example/image, for the version list and for Location headers. "
        "Unset: taken from each request, which is right unless a proxy rewrites it.",
    ),
    cfg.IntOpt(
        "max_request_id_length",
        default=64,
        min=0,
        help="Longest X-OpenStack-Request-ID, in characters, that a client may send; a "
        "longer one is refused with 431. 0 removes the limit.",
    ),
    cfg.BoolOpt(
        "allow_anonymous_access",
        default=False,
        help="Let requests without a valid token in as an anonymous reader instead of "
        "answering 401. What such a reader sees is then up to the policies.",
    ),
    cfg.BoolOpt(
        "show_image_direct_url",
        default=False,
        help="Show where an image's bytes lie (direct_url) to its owner, to "
        "administrators and to services. It tells them about the back end, so turn it "
        "on only if compute or volume services need it.",
    ),
    cfg.BoolOpt(
        "show_multiple_locations",
        default=False,
        help="Show all places where an image's bytes lie (locations) to those who would "
        "see direct_url, and let PATCH change them. POST and GET of "
        "/v2/images/ID/locations do not need it and are what services should use.",
    ),
    cfg.BoolOpt(
        "show_locations_to_readers",
        default=False,
        help="Show direct_url and locations, where these are turned on, to everybody who "
        "may see the image, as older services did: also to other projects if the image "
        "is public. For compute and volume services that ask with the token of a user "
        "and cannot be given the role service.",
    ),
    cfg.IntOpt(
        "image_property_value_max",
        default=65535,
        min=255,
        max=65535,
        help="Longest value of a custom property, in bytes of UTF-8; longer ones are "
        "refused with 400. 65535 is what a column holds on every database.",
    ),
    cfg.IntOpt(
        "max_json_body_size",
        default=1024 * 1024,
        min=4096,
        help="Largest JSON request body, in bytes; more is refused with 413. It does "
        "not concern image data. Each request in flight may hold this much "
        "memory a few times over; a full set of properties rarely passes 100 KiB.",
    ),
)

#: Options of the section ``[image_format]``.
IMAGE_FORMAT_OPTS: Sequence[cfg.Opt] = (
    cfg.ListOpt(
        "container_formats",
        default=list(CONTAINER_FORMATS),
        help="Container formats that images may have, beside none. Images that exist "
        "keep theirs when it is taken off the list.",
    ),
    cfg.ListOpt(
        "disk_formats",
        default=list(DISK_FORMATS),
        help="Disk formats that images may have, beside none. Add gpt or luks here if "
        "your hypervisors take them.",
    ),
)


PROXY = "proxy"
"""In ``?prefer=`` it asks for bytes by way of this service; no store has this id."""


class Store(NamedTuple):
    """One store as ``/v2/info/stores`` shows it (contract images.md §15)."""

    id: str
    kind: str
    weight: int  # higher is listed and read first
    properties: Callable[[], Mapping[str, Any]]  # JSON, for the detailed list
    description: str | None = None
    is_default: bool = False
    is_read_only: bool = False


@dataclasses.dataclass(frozen=True)
class Settings:
    """Plain values for the handlers; each default is the option's.

    ``stores`` is empty in the single-store form of the configuration.
    ``extension`` holds what is in ``schema-image.json``.
    """

    limit_param_default: int = 25
    api_limit_max: int = 1000
    public_endpoint: str | None = None
    max_request_id_length: int = 64
    allow_anonymous_access: bool = False
    show_image_direct_url: bool = False
    show_multiple_locations: bool = False
    show_locations_to_readers: bool = False
    image_property_value_max: int = 65535
    max_json_body_size: int = 1024 * 1024
    container_formats: tuple[str, ...] = CONTAINER_FORMATS
    disk_formats: tuple[str, ...] = DISK_FORMATS
    stores: tuple[Store, ...] = ()
    import_methods: tuple[str, ...] = ()
    extension: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, conf: cfg.ConfigOpts, stores: tuple[Store, ...]) -> Self:
        """Take the values of OPTS, and the schema file from the configuration's folders.

        Raises Misconfigured when that file cannot be read, or a store has a reserved id.
        """
        if any(store.id == PROXY for store in stores):
            reason = (
                f"enabled_backends: {PROXY} has a meaning in ?prefer=, rename the store"
            )
            raise errors.Misconfigured(reason=reason)
        plain = {opt.dest: conf[opt.dest] for opt in OPTS}
        return cls(
            **plain,
            container_formats=tuple(conf.image_format.container_formats),
            disk_formats=tuple(conf.image_format.disk_formats),
            stores=stores,
            extension=extension.load(conf.find_file(extension.FILE)),
        )
