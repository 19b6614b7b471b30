"""The schema documents that ``/v2/schemas`` publishes (contract images.md §17.2).

Clients read them: nova takes the formats from ``disk_format.enum``, glanceclient
validates images against them, so their structure is part of the contract.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Document = dict[str, Any]  # a JSON schema

CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
DISK_FORMATS = (
    "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop",
)  # fmt: skip

UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"

LOCATION: Document = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "maxLength": 255},
        "metadata": {"type": "object"},
        "validation_data": {
            "type": "object",
            "description": "Digests of the data at this location. They become the "
            "image's own while it is queued, and must equal them afterwards.",
            "writeOnly": True,
            "additionalProperties": False,
            "properties": {
                "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
                "os_hash_algo": {"type": "string", "maxLength": 64},
                "os_hash_value": {"type": "string", "maxLength": 128},
            },
            "required": ["os_hash_algo", "os_hash_value"],
        },
    },
    "required": ["url", "metadata"],
}

DESCRIBED_BY = {"rel": "describedby", "href": "{schema}"}
FIRST = {"rel": "first", "href": "{first}"}
NEXT = {"rel": "next", "href": "{next}"}


# Any in these two: whatever a JSON schema may hold.
def _text(description: str, length: int | None = None, **more: Any) -> Document:
    limit = {} if length is None else {"maxLength": length}
    return {"type": "string", "description": description, **limit, **more}


def _or_null(document: Document) -> Document:
    return {**document, "type": ["null", document["type"]]}


def _integer(description: str, **more: Any) -> Document:
    return {"type": "integer", "description": description, **more}


def base_properties(
    container_formats: Iterable[str] = CONTAINER_FORMATS,
    disk_formats: Iterable[str] = DISK_FORMATS,
) -> Document:
    """Describe the attributes every image has, in the published order."""
    shown: Document = {"readOnly": True}
    return {
        "id": _text("UUID of the image.", pattern=UUID),
        "name": _or_null(_text("Name of the image, for people.", 255)),
        "status": _text(
            "Where the image is in its life.",
            **shown,
            enum=[
                "queued", "saving", "active", "killed", "deleted",
                "uploading", "importing", "pending_delete", "deactivated",
            ],
        ),
        "visibility": _text(
            "Who may see the image.", enum=["community", "public", "private", "shared"]
        ),
        "protected": {
            "type": "boolean",
            "description": "True keeps the image from being deleted.",
        },
        "os_hidden": {
            "type": "boolean",
            "description": "True leaves the image out of lists that do not ask for "
            "hidden ones.",
        },
        "checksum": _or_null(_text("MD5 of the data, in hex.", 32, **shown)),
        "os_hash_algo": _or_null(
            _text("Hash function that os_hash_value was made with.", 64, **shown)
        ),
        "os_hash_value": _or_null(
            _text("Digest of the data by os_hash_algo, in hex.", 128, **shown)
        ),
        "owner": _or_null(_text("Project that the image belongs to.", 255)),
        "size": _or_null(_integer("Bytes of data.", **shown)),
        "virtual_size": _or_null(
            _integer("Bytes of the disk that the data unfolds to.", **shown)
        ),
        "container_format": _or_null(
            _text("Format of the container.", enum=[None, *container_formats])
        ),
        "disk_format": _or_null(
            _text("Format of the disk.", enum=[None, *disk_formats])
        ),
        "created_at": _text("When the image was registered.", **shown),
        "updated_at": _text("When the image was last changed.", **shown),
        "tags": {
            "type": "array",
            "description": "Words that mark the image.",
            "items": {"type": "string", "maxLength": 255},
        },
        "direct_url": _text("Where the data lies in its store.", **shown),
        "min_ram": _integer("MB of memory needed to boot the image."),
        "min_disk": _integer("GB of disk needed to boot the image."),
        "self": _text("Path of this image.", **shown),
        "file": _text("Path of the image's data.", **shown),
        "stores": _text(
            "Stores that hold the data, separated by commas; absent when there is "
            "only one store.",
            **shown,
        ),
        "schema": _text("Path of this schema.", **shown),
        "locations": {
            "type": "array",
            "description": "Where the data lies, one entry per copy.",
            "items": LOCATION,
        },
    }  # fmt: skip


def image(properties: Mapping[str, Any], required: list[str]) -> Document:
    """The document of one image, ``properties`` being base and custom ones."""
    document: Document = {
        "name": "image",
        "properties": dict(properties),
        "additionalProperties": {"type": "string"},
        "links": [
            {"rel": "self", "href": "{self}"},
            {"rel": "enclosure", "href": "{file}"},
            DESCRIBED_BY,
        ],
    }
    if required:
        document["required"] = required
    return document


def images(item: Document) -> Document:
    """The document of a page of images."""
    return {
        "name": "images",
        "properties": {
            "images": {"type": "array", "items": item},
            "first": {"type": "string"},
            "next": {"type": "string"},
            "schema": {"type": "string"},
        },
        "links": [FIRST, NEXT, DESCRIBED_BY],
    }


def collection(name: str, item: Document) -> Document:
    """The document of a list that has no pages."""
    return {
        "name": name,
        "properties": {
            name: {"type": "array", "items": item},
            "schema": {"type": "string"},
        },
        "links": [DESCRIBED_BY],
    }


HREF = {"readOnly": True, "type": "string"}

MEMBER: Document = {
    "name": "member",
    "properties": {
        "member_id": _text("Project that the image is shared with."),
        "image_id": _text("UUID of the image.", pattern=UUID),
        "created_at": _text("When the project became a member."),
        "updated_at": _text("When the membership was last changed."),
        "status": _text(
            "What the member said about it.", enum=["pending", "accepted", "rejected"]
        ),
        "schema": HREF,
    },
}

_TASK_STUB: Document = {
    "id": _text("UUID of the task.", pattern=UUID),
    "type": _text(
        "What the task does.", enum=["import", "api_image_import", "location_import"]
    ),
    "status": _text(
        "How far the task is.", enum=["pending", "processing", "success", "failure"]
    ),
    "owner": _text("Project that the task belongs to."),
    "image_id": _text("Image that the task works on."),
    "request_id": _text("Request that started the task."),
    "user_id": _text("User who started the task."),
    "expires_at": _or_null(_text("When the task's record will be removed.")),
    "created_at": _text("When the task was recorded."),
    "updated_at": _text("When the task was last changed."),
    "self": HREF,
    "schema": HREF,
}

TASK: Document = {
    "name": "task",
    "properties": {
        **_TASK_STUB,
        "input": {
            "type": ["null", "object"],
            "description": "What the task was given.",
        },
        "result": {
            "type": ["null", "object"],
            "description": "What came out of the task.",
        },
        "message": _text("Why the task failed, for people."),
    },
}

TASK_STUB: Document = {"name": "task", "properties": _TASK_STUB}
