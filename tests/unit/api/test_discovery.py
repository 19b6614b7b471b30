import pytest

from imageservice.services.interfaces import Use
from tests.unit.api.fakes import COLD, FAST, Client


def get(path, **settings):
    return Client(**settings)("GET", path)


def test_import_methods_are_told_and_nothing_else():
    reply = get("/v2/info/import", import_methods=("web-download",))

    assert list(reply.json) == ["import-methods"]
    told = reply.json["import-methods"]
    assert (told["type"], told["value"]) == ("array", ["web-download"])


def test_flags_of_stores_are_strings_and_only_there_when_true():
    reply = get("/v2/info/stores", stores=(FAST, COLD))

    assert reply.json["stores"] == [
        {"id": "fast", "default": "true"},
        {"id": "cold", "description": "slow and large", "read-only": "true"},
    ]


def test_the_detail_of_stores_has_type_weight_and_properties():
    reply = get("/v2/info/stores/detail", stores=(FAST, COLD))

    assert reply.json["stores"][0] == {
        "id": "fast",
        "default": "true",
        "type": "file",
        "weight": 10,
        "properties": {"data_dir": "/data"},
    }


@pytest.mark.parametrize("path", ["/v2/info/stores", "/v2/info/stores/detail"])
def test_with_a_single_store_there_is_no_list_of_stores(path):
    assert get(path).status == 404


def test_usage_is_empty_without_unified_limits():
    assert get("/v2/info/usage").json == {"usage": {}}


def test_usage_has_what_is_used_and_the_limit_by_the_limits_name():
    client = Client()
    client.usage.shown = {
        "image_count_total": Use(3, 20),
        "image_size_total": Use(0, -1),
    }

    assert client("GET", "/v2/info/usage").json == {
        "usage": {
            "image_count_total": {"usage": 3, "limit": 20},
            "image_size_total": {"usage": 0, "limit": -1},
        }
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD"])
def test_usage_can_only_be_read(method):
    reply = Client()(method, "/v2/info/usage", b"{}")

    assert (reply.status, reply.headers["Allow"]) == (405, "GET")


PUBLISHED = (
    "id name status visibility protected os_hidden checksum os_hash_algo os_hash_value "
    "owner size virtual_size container_format disk_format created_at updated_at tags "
    "direct_url min_ram min_disk self file stores schema locations"
)


def test_the_image_schema_has_the_published_order_and_links():
    schema = get("/v2/schemas/image").json

    assert list(schema["properties"]) == PUBLISHED.split()
    assert schema["additionalProperties"] == {"type": "string"}
    assert "required" not in schema
    assert [link["rel"] for link in schema["links"]] == [
        "self", "enclosure", "describedby",
    ]  # fmt: skip


def test_read_only_attributes_are_marked():
    properties = get("/v2/schemas/image").json["properties"]

    marked = {name for name, it in properties.items() if it.get("readOnly")}
    assert marked == {
        "status", "checksum", "os_hash_algo", "os_hash_value", "size", "virtual_size",
        "created_at", "updated_at", "direct_url", "self", "file", "stores", "schema",
    }  # fmt: skip


def test_formats_come_from_the_configuration_after_null():
    formats = {"disk_formats": ("raw", "gpt"), "container_formats": ("bare",)}
    properties = get("/v2/schemas/image", **formats).json["properties"]

    assert properties["disk_format"]["enum"] == [None, "raw", "gpt"]
    assert properties["container_format"]["enum"] == [None, "bare"]


def test_custom_properties_follow_and_say_that_they_are_custom():
    extension = {
        "properties": {"os_distro": {"type": "string"}},
        "required": ["os_distro"],
    }

    schema = get("/v2/schemas/image", extension=extension).json

    assert list(schema["properties"])[-1] == "os_distro"
    assert schema["properties"]["os_distro"] == {"type": "string", "is_base": False}
    assert schema["required"] == ["os_distro"]


def test_the_schema_of_a_page_holds_that_of_an_image():
    page = get("/v2/schemas/images").json

    assert list(page["properties"]) == ["images", "first", "next", "schema"]
    assert page["properties"]["images"]["items"] == get("/v2/schemas/image").json
    assert [link["rel"] for link in page["links"]] == ["first", "next", "describedby"]


@pytest.mark.parametrize("name", ["member", "task"])
def test_the_other_schemas_are_minimal(name):
    one, many = get(f"/v2/schemas/{name}").json, get(f"/v2/schemas/{name}s").json

    assert list(one) == ["name", "properties"]
    assert list(many) == ["name", "properties", "links"]
    assert list(many["properties"]) == [f"{name}s", "schema"]
    assert many["links"] == [{"rel": "describedby", "href": "{schema}"}]
