"""Who may do what, as operators know it: every rule, and which operation needs which.

Names and checks are a public interface: operators override them in ``policy.yaml``.
Source: contract images.md §4, operations.md §1.2 and §1.3.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from oslo_policy import policy

from imageservice.domain.changes import Change
from imageservice.domain.image import Image
from imageservice.domain.proposals import Proposal
from imageservice.policy.defaults import (
    ADMIN,
    CREATOR,
    DOWNLOADER,
    INVITED,
    MEMBER,
    PARTY,
    READER,
    SERVICE,
    VIEWER,
    Rule,
)
from imageservice.policy.reserved import RESERVED

_IMAGES = "/v2/images"
_IMAGE = "/v2/images/{image_id}"
_FILE = "/v2/images/{image_id}/file"
_TAG = "/v2/images/{image_id}/tags/{tag}"
_ACTION = "/v2/images/{image_id}/actions/"
_COPY = "/v2/stores/{store}/{image_id}"
_LOCATIONS = "/v2/images/{image_id}/locations"
_MEMBERS = "/v2/images/{image_id}/members"
_MEMBER = "/v2/images/{image_id}/members/{member_id}"

LIST: tuple[Rule, ...] = (
    Rule("default", "", "What rule:default means in rules of your own: everybody."),
    Rule("context_is_admin", "role:admin", "Who is an administrator."),
    Rule(
        "service_api",
        "role:service or role:admin",
        "Who is another service of the cloud. Base of the rules for such calls.",
    ),
    Rule("add_image", CREATOR, "Create an image.", (("POST", _IMAGES),)),
    Rule("delete_image", MEMBER, "Delete an image.", (("DELETE", _IMAGE),)),
    Rule(
        "get_image",
        VIEWER,
        "See an image. Who fails this is answered 404 to what another rule refuses him;"
        " a rule of your own here comes before everything that is done with an image.",
        (("GET", _IMAGE), ("GET", _IMAGES)),
    ),
    Rule("get_images", READER, "List images.", (("GET", _IMAGES),)),
    Rule(
        "modify_image",
        MEMBER,
        "Change an image or its tags.",
        (("PATCH", _IMAGE), ("PUT", _TAG), ("DELETE", _TAG)),
    ),
    Rule(
        "publicize_image",
        ADMIN,
        "Show an image to everybody, also in lists.",
        (("POST", _IMAGES), ("PATCH", _IMAGE)),
    ),
    Rule(
        "communitize_image",
        MEMBER,
        "Let everybody use an image who knows its id.",
        (("POST", _IMAGES), ("PATCH", _IMAGE)),
    ),
    Rule("download_image", DOWNLOADER, "Get an image's data.", (("GET", _FILE),)),
    Rule(
        "download_from_store",
        DOWNLOADER,
        "Choose the stores that an image's data is read from.",
        (("GET", _FILE + "?prefer={stores}"),),
    ),
    Rule("upload_image", MEMBER, "Send an image's data.", (("PUT", _FILE),)),
    Rule(
        "deactivate",
        MEMBER,
        "Stop the use of an image's data.",
        (("POST", _ACTION + "deactivate"),),
    ),
    Rule(
        "reactivate",
        MEMBER,
        "Allow the use of an image's data again.",
        (("POST", _ACTION + "reactivate"),),
    ),
    Rule(
        "get_image_location",
        READER,
        "Learn in which stores an image's copies lie, to remove one.",
        (("DELETE", _COPY),),
    ),
    Rule("add_member", MEMBER, "Share an image with a project.", (("POST", _MEMBERS),)),
    Rule(
        "delete_member",
        MEMBER,
        "Stop sharing an image with a project.",
        (("DELETE", _MEMBER),),
    ),
    Rule(
        "get_member",
        PARTY,
        "See how one project takes the image shared with it.",
        (("GET", _MEMBER),),
    ),
    Rule(
        "get_members",
        PARTY,
        "List the projects that an image is shared with; members see only themselves.",
        (("GET", _MEMBERS),),
    ),
    Rule(
        "modify_member",
        INVITED,
        "Accept or reject an image; for the project it is shared with, not the owner.",
        (("PUT", _MEMBER),),
    ),
    Rule(
        "add_image_location",
        f"{SERVICE} or (role:member and project_id:%(project_id)s"
        " and project_id:%(owner)s)",
        "Say where the data of a queued image lies; what is not http or https is for"
        " callers with the role service in any case.",
        (("POST", _LOCATIONS),),
    ),
    Rule(
        "add_location_credentials",
        f"{ADMIN} or {SERVICE}",
        "Name an http or https location with user and password in it; they are kept as"
        " they are, sent to that server, and shown to nobody.",
        (("POST", _LOCATIONS), ("PATCH", _IMAGE)),
    ),
    Rule(
        "fetch_image_location",
        SERVICE,
        "See where an image's data lies.",
        (("GET", _LOCATIONS),),
    ),
    Rule(
        "set_image_location",
        MEMBER,
        "Add to an image's locations, or change what is noted at them.",
        (("PATCH", _IMAGE),),
    ),
    Rule(
        "delete_image_location",
        ADMIN,
        "Remove one of an image's copies, and its data.",
        (("PATCH", _IMAGE), ("DELETE", _COPY)),
    ),
    Rule(
        "stores_info_detail",
        f"{ADMIN} or rule:service_api",
        "See the stores' types, weights and properties.",
        (("GET", "/v2/info/stores/detail"),),
    ),
)

#: Every name that operators may use; those of ``RESERVED`` are asked for by nothing yet.
NAMES = frozenset(rule.name for rule in (*LIST, *RESERVED))


# --- which rules an operation needs, in the order in which they are asked ------------

Names = Sequence[str]


class Needed(NamedTuple):
    """The rules that an operation may need, in the order in which they are asked.

    ``chosen`` picks those of one call, which it takes as the operation does but for
    the context; None if all are always needed.
    """

    names: Names
    chosen: Callable[..., Names] | None = None

    def __call__(self, *args: object, **kwargs: object) -> Names:
        return self.names if self.chosen is None else self.chosen(*args, **kwargs)


_SPREADING: Mapping[object, Names] = {
    "public": ("publicize_image",),
    "community": ("communitize_image",),
}

_PLACING = {"remove": "delete_image_location"}


def _create(image: Image) -> Names:
    return ("add_image", *_SPREADING.get(image.visibility, ()))


def _update(image: Image, changes: Sequence[Change]) -> Names:
    if not changes:
        # Nothing is modified; but the answer shows the image.
        return ("get_image",)
    names = []
    for change in changes:
        if change.name == "locations":
            names.append(_PLACING.get(change.operation, "set_image_location"))
            names.extend(_logging_in(change.proposals))
        else:
            names.append("modify_image")
        if change.name == "visibility":
            names.extend(_SPREADING.get(change.value, ()))
    return tuple(dict.fromkeys(names))


def _register(image: Image, proposal: Proposal) -> Names:
    return ("add_image_location", *_logging_in((proposal,)))


def _logging_in(proposals: Sequence[Proposal]) -> Names:
    if any(proposal.logs_in for proposal in proposals):
        return ("add_location_credentials",)
    return ()


def _download(
    image: Image,
    start: int,
    stop: int | None,
    prefer: Sequence[str],
    *,
    may_redirect: bool = False,
) -> Names:
    if prefer:
        return ("download_image", "download_from_store")
    return ("download_image",)


#: An operation that has no row here cannot be called at all.
RULES: Mapping[tuple[str, str], Needed] = {
    ("images", "list"): Needed(("get_images",)),
    ("images", "find"): Needed(
        ()
    ),  # none, by design: it loads the target of the others
    ("images", "show"): Needed(("get_image",)),
    ("images", "create"): Needed(
        ("add_image", "publicize_image", "communitize_image"), _create
    ),
    ("images", "update"): Needed(
        (
            "get_image",
            "modify_image",
            "publicize_image",
            "communitize_image",
            "set_image_location",
            "add_location_credentials",
            "delete_image_location",
        ),
        _update,
    ),
    ("images", "delete"): Needed(("delete_image",)),
    ("images", "upload"): Needed(("upload_image",)),
    ("images", "download"): Needed(
        ("download_image", "download_from_store"), _download
    ),
    ("images", "remove_copy"): Needed(("get_image_location", "delete_image_location")),
    ("images", "deactivate"): Needed(("deactivate",)),
    ("images", "reactivate"): Needed(("reactivate",)),
    ("images", "add_tag"): Needed(("modify_image",)),
    ("images", "remove_tag"): Needed(("modify_image",)),
    ("locations", "list"): Needed(("fetch_image_location",)),
    ("locations", "add"): Needed(
        ("add_image_location", "add_location_credentials"), _register
    ),
    ("members", "list"): Needed(("get_image", "get_members")),
    ("members", "show"): Needed(("get_image", "get_member")),
    ("members", "add"): Needed(("get_image", "add_member")),
    ("members", "change"): Needed(("get_image", "modify_member")),
    ("members", "remove"): Needed(("get_image", "delete_member")),
    ("stores", "detail"): Needed(("stores_info_detail",)),
    ("usage", "show"): Needed(()),  # none, by design: it is about the caller's project
    ("usage", "room"): Needed(()),  # none, by design: the upload itself has a rule
}

#: Operations whose answer is a page of images, and the rule that each of them must pass.
ROWS: Mapping[tuple[str, str], str] = {("images", "list"): "get_image"}


def list_rules() -> list[policy.RuleDefault]:
    """Return the rules as oslo.policy's tools want them (entry point)."""
    return [_default(rule) for rule in (*LIST, *RESERVED)]


def _default(rule: Rule) -> policy.RuleDefault:
    if not rule.guards:
        return policy.RuleDefault(
            rule.name, rule.check, rule.description, scope_types=["project"]
        )
    return policy.DocumentedRuleDefault(
        rule.name,
        rule.check,
        rule.description,
        [{"method": method, "path": path} for method, path in rule.guards],
        scope_types=["project"],
    )
