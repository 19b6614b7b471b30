"""Rules of operations that this release does not offer.

They are registered, so that an operator's file can be taken over with its rules for
these operations, and so that oslo.policy's tools know the names. Nothing asks for them:
the operations answer 404 to everybody. Whoever implements one moves its rules to
``rules.LIST``. Source: contract images.md §4, operations.md §1.3.
"""

from imageservice.policy.defaults import (
    ADMIN,
    NAMESPACE_ADMIN,
    NAMESPACE_READER,
    READER,
    Rule,
)

#: Begins the description of each, for operators read the sample and not this module.
NOTHING = "Guards nothing in this release."

_TASKS = "rule:default"

_CHECKS: dict[str, str] = {
    # import and cache
    "copy_image": ADMIN,
    "manage_image_cache": ADMIN,
    "cache_image": ADMIN,
    "cache_list": ADMIN,
    "cache_delete": ADMIN,
    "cache_clean": ADMIN,
    "cache_prune": ADMIN,
    "list_cached_nodes": ADMIN,
    # tasks
    "tasks_api_access": ADMIN,
    "get_task": _TASKS,
    "get_tasks": _TASKS,
    "add_task": _TASKS,
    "modify_task": _TASKS,
    # metadata definitions
    "metadef_default": "",
    "metadef_admin": ADMIN,
    "get_metadef_namespaces": READER,
    "get_metadef_namespace": NAMESPACE_READER,
    "add_metadef_namespace": NAMESPACE_ADMIN,
    "modify_metadef_namespace": NAMESPACE_ADMIN,
    "delete_metadef_namespace": NAMESPACE_ADMIN,
    "get_metadef_object": NAMESPACE_READER,
    "get_metadef_objects": NAMESPACE_READER,
    "add_metadef_object": NAMESPACE_ADMIN,
    "modify_metadef_object": NAMESPACE_ADMIN,
    "delete_metadef_object": NAMESPACE_ADMIN,
    "get_metadef_property": NAMESPACE_READER,
    "get_metadef_properties": NAMESPACE_READER,
    "add_metadef_property": NAMESPACE_ADMIN,
    "modify_metadef_property": NAMESPACE_ADMIN,
    "remove_metadef_property": NAMESPACE_ADMIN,
    "get_metadef_resource_type": NAMESPACE_READER,
    "list_metadef_resource_types": NAMESPACE_READER,
    "add_metadef_resource_type_association": NAMESPACE_ADMIN,
    "remove_metadef_resource_type_association": NAMESPACE_ADMIN,
    "get_metadef_tag": NAMESPACE_READER,
    "get_metadef_tags": NAMESPACE_READER,
    "add_metadef_tag": NAMESPACE_ADMIN,
    "add_metadef_tags": NAMESPACE_ADMIN,
    "modify_metadef_tag": NAMESPACE_ADMIN,
    "delete_metadef_tag": NAMESPACE_ADMIN,
    "delete_metadef_tags": NAMESPACE_ADMIN,
}

_SUBJECTS = (
    ("metadef", "metadata definitions"),
    ("cache", "the image cache"),
    ("task", "tasks"),
    ("copy_image", "the import method copy-image"),
)


def _description(name: str) -> str:
    subject = next(text for part, text in _SUBJECTS if part in name)
    return f"{NOTHING} Kept for {subject}."


RESERVED: tuple[Rule, ...] = tuple(
    Rule(name, check, _description(name)) for name, check in _CHECKS.items()
)
