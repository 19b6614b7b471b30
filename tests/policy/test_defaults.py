"""Names and default checks are those that operators' files were written against.

The tables are the contract's (operations.md §1.2 and §1.3), written out: they are
compared with what oslo.policy's entry point hands to its tools, and to us.
"""

import pytest

from imageservice.policy import rules

CHECKS = {
    "": "",
    "DEF": "rule:default",
    "ADM": "rule:context_is_admin",
    "MEM": ("rule:context_is_admin or (role:member and project_id:%(project_id)s)"),
    "RDR": ("rule:context_is_admin or (role:reader and project_id:%(project_id)s)"),
    "CRT": (
        "rule:context_is_admin or (role:member and project_id:%(project_id)s"
        " and project_id:%(owner)s)"
    ),
    "GET": (
        "rule:context_is_admin or (role:reader and (project_id:%(project_id)s"
        " or project_id:%(member_id)s or 'community':%(visibility)s"
        " or 'public':%(visibility)s or 'shared':%(visibility)s))"
    ),
    "DWN": (
        "rule:context_is_admin or (role:member and (project_id:%(project_id)s"
        " or project_id:%(member_id)s or 'community':%(visibility)s"
        " or 'public':%(visibility)s or 'shared':%(visibility)s))"
    ),
    "RSM": (
        "rule:context_is_admin or role:reader and"
        " (project_id:%(project_id)s or project_id:%(member_id)s)"
    ),
    "SHM": "rule:context_is_admin or (role:member and project_id:%(member_id)s)",
    "NSP": (
        "rule:context_is_admin or (role:reader and (project_id:%(project_id)s"
        " or 'public':%(visibility)s))"
    ),
    "MDA": "rule:metadef_admin",
    "role:admin": "role:admin",
    "role:service": "role:service or role:admin",
    "A or S": "rule:context_is_admin or rule:service_api",
    "S": "rule:service_api",
    "S or own": (
        "rule:service_api or (role:member and project_id:%(project_id)s"
        " and project_id:%(owner)s)"
    ),
}

ASKED = {
    "default": "",
    "context_is_admin": "role:admin",
    "service_api": "role:service",
    "add_image": "CRT",
    "delete_image": "MEM",
    "get_image": "GET",
    "get_images": "RDR",
    "modify_image": "MEM",
    "publicize_image": "ADM",
    "communitize_image": "MEM",
    "download_image": "DWN",
    "download_from_store": "DWN",
    "upload_image": "MEM",
    "add_member": "MEM",
    "delete_member": "MEM",
    "get_member": "RSM",
    "get_members": "RSM",
    "modify_member": "SHM",
    "deactivate": "MEM",
    "reactivate": "MEM",
    "stores_info_detail": "A or S",
    "get_image_location": "RDR",
    "delete_image_location": "ADM",
    "fetch_image_location": "S",
    "add_image_location": "S or own",
    "add_location_credentials": "A or S",
    "set_image_location": "MEM",
}

#: Of operations that come with later releases.
RESERVED = {
    "copy_image": "ADM",
    "manage_image_cache": "ADM",
    "cache_image": "ADM",
    "cache_list": "ADM",
    "cache_delete": "ADM",
    "cache_clean": "ADM",
    "cache_prune": "ADM",
    "list_cached_nodes": "ADM",
    "tasks_api_access": "ADM",
    "get_task": "DEF",
    "get_tasks": "DEF",
    "add_task": "DEF",
    "modify_task": "DEF",
    "metadef_default": "",
    "metadef_admin": "ADM",
    "get_metadef_namespaces": "RDR",
    "get_metadef_namespace": "NSP",
    "get_metadef_object": "NSP",
    "get_metadef_objects": "NSP",
    "get_metadef_property": "NSP",
    "get_metadef_properties": "NSP",
    "get_metadef_resource_type": "NSP",
    "list_metadef_resource_types": "NSP",
    "get_metadef_tag": "NSP",
    "get_metadef_tags": "NSP",
    "add_metadef_namespace": "MDA",
    "modify_metadef_namespace": "MDA",
    "delete_metadef_namespace": "MDA",
    "add_metadef_object": "MDA",
    "modify_metadef_object": "MDA",
    "delete_metadef_object": "MDA",
    "add_metadef_property": "MDA",
    "modify_metadef_property": "MDA",
    "remove_metadef_property": "MDA",
    "add_metadef_resource_type_association": "MDA",
    "remove_metadef_resource_type_association": "MDA",
    "add_metadef_tag": "MDA",
    "add_metadef_tags": "MDA",
    "modify_metadef_tag": "MDA",
    "delete_metadef_tag": "MDA",
    "delete_metadef_tags": "MDA",
}


def test_the_rules_are_those_of_the_contract_and_no_others():
    names = [rule.name for rule in rules.list_rules()]

    assert sorted(names) == sorted([*ASKED, *RESERVED])


@pytest.mark.parametrize("name", [*ASKED, *RESERVED])
def test_a_rule_has_the_default_of_the_contract(name):
    expected = CHECKS[(ASKED | RESERVED)[name]]
    registered = {rule.name: rule for rule in rules.list_rules()}

    assert registered[name].check_str == expected
    assert registered[name].scope_types == ["project"]


def test_the_description_says_which_rules_guard_nothing_yet():
    idle = {
        rule.name
        for rule in rules.list_rules()
        if rule.description.startswith("Guards nothing in this release.")
    }

    assert idle == set(RESERVED)
