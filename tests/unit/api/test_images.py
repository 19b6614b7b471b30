import pytest

from imageservice import errors
from imageservice.api.settings import Settings
from imageservice.domain.changes import Change
from imageservice.domain.image import Location
from tests.unit.api.fakes import (
    COLD,
    FAST,
    ID,
    PATCH_20,
    PROJECT,
    Client,
    an_image,
)

# --- create ------------------------------------------------------------------


def create(client=None, **document):
    return (client or Client())("POST", "/v2/images", document)


def test_an_image_is_created_with_the_contracts_defaults():
    reply = create(os_distro="debian")

    assert reply.status == 201
    shown = reply.json
    assert shown["status"] == "queued"
    assert shown["visibility"] == "shared"
    assert shown["owner"] == PROJECT
    assert shown["os_distro"] == "debian"
    assert shown["size"] is None
    assert (shown["min_disk"], shown["tags"]) == (0, [])
    assert shown["file"] == f"/v2/images/{shown['id']}/file"


def test_the_answer_to_create_is_json_without_charset_and_with_a_location():
    reply = create(id=ID)

    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Location"] == f"http://images:9292/v2/images/{ID}"
    assert "OpenStack-image-store-ids" not in reply.headers
    assert "OpenStack-image-import-methods" not in reply.headers


def test_weakness_3_location_keeps_the_mount_prefix():
    reply = Client()("POST", "/v2/images", {"id": ID}, SCRIPT_NAME="/image service")

    assert reply.headers["Location"] == (
        f"http://images:9292/image%20service/v2/images/{ID}"
    )


def test_location_uses_the_public_endpoint():
    client = Client(public_endpoint="https://cloud.example/image/")

    reply = create(client, id=ID)

    assert reply.headers["Location"] == f"https://cloud.example/image/v2/images/{ID}"


def test_several_stores_and_import_methods_are_told():
    client = Client(stores=(FAST, COLD), import_methods=("web-download",))

    reply = create(client)

    assert reply.headers["OpenStack-image-store-ids"] == "fast,cold"
    assert reply.headers["OpenStack-image-import-methods"] == "web-download"


def test_tags_are_a_set_and_1_0_is_an_integer():
    reply = create(tags=["b", "a", "b"], min_ram=1.0)

    assert reply.json["tags"] == ["b", "a"]
    assert b'"min_ram":1,' in reply.body


def test_the_content_type_of_json_is_never_checked():
    octets = {"Content-Type": "application/octet-stream"}

    assert Client()("POST", "/v2/images", {}, octets).status == 201


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"name": 1}, id="name is no string"),
        pytest.param({"name": "x" * 256}, id="name too long"),
        pytest.param({"disk_format": "floppy"}, id="unknown format"),
        pytest.param({"visibility": "secret"}, id="unknown visibility"),
        pytest.param({"min_ram": -1}, id="negative"),
        pytest.param({"min_disk": 2**31}, id="more than 31 bits"),
        pytest.param({"min_disk": 10**400}, id="a huge integer"),
        pytest.param({"min_ram": None}, id="null for an integer"),
        pytest.param({"min_ram": 1.5}, id="a fraction"),
        pytest.param({"min_ram": True}, id="true for an integer"),
        pytest.param({"protected": "true"}, id="a string for a boolean"),
        pytest.param({"tags": "a"}, id="tags are no list"),
        pytest.param({"tags": ["x" * 256]}, id="tag too long"),
        pytest.param({"some": 3}, id="property is no string"),
        pytest.param({"some": None}, id="property is null"),
        pytest.param({"id": "not-a-uuid"}, id="id is no UUID"),
        pytest.param({"id": ID + "\n"}, id="weakness 10: newline after the id"),
        pytest.param({"id": None}, id="id is null"),
        pytest.param({"n" * 256: "x"}, id="name of property too long"),
        pytest.param({"some": "é" * 40000}, id="weakness 15: value too long"),
        pytest.param({"name": "\U0001f600"}, id="outside the BMP in name"),
        pytest.param({"some": "\U0001f600"}, id="outside the BMP in value"),
        pytest.param({"\U0001f600": "x"}, id="outside the BMP in property name"),
        pytest.param({"tags": ["\U0001f600"]}, id="weakness 4: outside the BMP in tag"),
        pytest.param({"name": "a\0b"}, id="NUL"),
    ],
)
def test_a_bad_document_is_400_and_creates_nothing(document):
    client = Client()

    reply = create(client, **document)

    assert reply.status == 400
    assert list(client.images.images) == [ID]
    assert len(reply.message) < 500


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b"1", b"null", b'{"name": "\xff"}', b'{"a": NaN}'],
)
def test_weakness_2_a_body_that_is_no_json_object_is_400(body):
    assert Client()("POST", "/v2/images", body).status == 400


def test_of_duplicate_keys_the_last_one_wins():
    reply = Client()("POST", "/v2/images", b'{"name": "a", "name": "b"}')

    assert reply.json["name"] == "b"


@pytest.mark.parametrize(
    "name",
    [
        "direct_url", "self", "file", "schema", "stores", "locations", "location",
        "deleted", "deleted_at", "os_glance", "os_glance_x", "status", "size",
        "virtual_size", "checksum", "created_at", "updated_at",
        "os_hash_algo", "os_hash_value",
    ],
)  # fmt: skip
def test_read_only_and_reserved_names_are_403(name):
    values = {"size": 1, "virtual_size": 1, "status": "active"}

    assert create(**{name: values.get(name, "x")}).status == 403


@pytest.mark.parametrize("name", ["size", "checksum", "os_hash_value"])
def test_read_only_names_are_403_even_as_null(name):
    assert create(**{name: None}).status == 403


def test_disallowed_names_come_before_the_schema_and_read_only_ones_after():
    assert create(self="x", name=1).status == 403
    assert create(size=1, name=1).status == 400


def test_empty_names_and_odd_characters_are_properties_like_others():
    reply = create(**{"": "empty", "a/b c": "odd", "image_id": "x"})

    assert reply.json[""] == "empty"
    assert reply.json["a/b c"] == "odd"


@pytest.mark.parametrize("owner", ["other", None, ""])
def test_only_an_admin_creates_images_for_others(owner):
    assert create(owner=owner).status == 403
    reply = create(Client(admin=True), owner=owner)
    assert reply.json["owner"] == (owner or None)


def test_a_body_over_the_limit_is_413_without_reading_it():
    reply = create(Client(max_json_body_size=4096), some="x" * 5000)

    assert reply.status == 413


@pytest.mark.parametrize(("size", "status"), [(4096, 201), (4097, 413)])
def test_the_limit_holds_for_chunked_bodies(size, status):
    body = b'{"name": "x"}'.ljust(size)
    chunked = {"Transfer-Encoding": "chunked"}

    client = Client(max_json_body_size=4096)
    reply = client("POST", "/v2/images", body, chunked, CONTENT_LENGTH="")

    assert reply.status == status


def test_a_body_that_ends_early_is_400():
    assert Client()("POST", "/v2/images", b"{}", CONTENT_LENGTH="3").status == 400


def test_the_longest_value_of_a_property_can_be_configured():
    client = Client(image_property_value_max=300)

    assert create(client, some="é" * 150).status == 201
    assert create(client, some="é" * 151).status == 400


# --- show --------------------------------------------------------------------


def test_times_are_shown_in_whole_seconds_with_z():
    shown = Client()("GET", f"/v2/images/{ID}").json

    assert shown["created_at"] == "2026-01-02T03:04:05Z"


def test_no_property_can_stand_for_an_attribute():
    image = an_image(properties={"status": "fake", "ramdisk_id": None, "x": "é"})

    reply = Client(image)("GET", f"/v2/images/{ID}")

    assert reply.json["status"] == "active"
    assert reply.json["ramdisk_id"] == ""
    assert '"x":"é"'.encode() in reply.body


PLACES = (Location("cold", "s3://b/k", {}), Location("fast", "file:///i", {}))


def test_stores_are_listed_by_weight_only_when_there_are_several():
    image = an_image(locations=PLACES)

    several = Client(image, stores=(COLD, FAST))("GET", f"/v2/images/{ID}").json
    single = Client(image)("GET", f"/v2/images/{ID}").json

    assert several["stores"] == "fast,cold"
    assert "stores" not in single
    assert "direct_url" not in several


def test_of_a_deactivated_image_only_an_admin_sees_the_stores():
    image = an_image(status="deactivated", locations=PLACES)
    both = {"stores": (COLD, FAST), "show_image_direct_url": True}

    member = Client(image, **both)("GET", f"/v2/images/{ID}").json
    admin = Client(image, admin=True, **both)("GET", f"/v2/images/{ID}").json

    assert not {"stores", "direct_url"} & member.keys()
    assert admin["stores"] == "fast,cold"


def test_weakness_49_the_direct_url_is_shown_to_the_owner_only():
    image = an_image(locations=PLACES, visibility="public")
    show = {"show_image_direct_url": True, "stores": (FAST, COLD)}

    owner = Client(image, **show)("GET", f"/v2/images/{ID}").json
    other = Client(image, project="other", **show)("GET", f"/v2/images/{ID}").json

    assert owner["direct_url"] == "file:///i"
    assert "direct_url" not in other


# --- list --------------------------------------------------------------------


def test_a_page_has_links_that_keep_every_pair():
    reply = Client()("GET", "/v2/images?limit=1&tag=a&tag=b&name=x+y&marker=old")

    assert reply.json["first"] == "/v2/images?limit=1&tag=a&tag=b&name=x+y"
    assert reply.json["next"] == (
        f"/v2/images?limit=1&tag=a&tag=b&name=x+y&marker={ID}"
    )
    assert reply.json["schema"] == "/v2/schemas/images"


def test_a_page_that_is_not_full_has_no_next():
    assert "next" not in Client()("GET", "/v2/images").json
    assert "next" not in Client()("GET", "/v2/images?limit=0").json


def test_first_without_a_query_is_the_plain_path():
    assert Client()("GET", "/v2/images").json["first"] == "/v2/images"


@pytest.mark.parametrize("query", ["name=%ff", "%ff=x", "name=%00"])
def test_a_query_that_cannot_be_decoded_is_400(query):
    assert Client()("GET", f"/v2/images?{query}").status == 400


# --- change ------------------------------------------------------------------


def test_a_patch_answers_with_the_whole_image():
    reply = Client().patch({"op": "replace", "path": "/name", "value": "two"})

    assert (reply.status, reply.json["name"], reply.json["id"]) == (200, "two", ID)


def test_add_of_the_2_0_media_type_refuses_what_is_there():
    add = {"add": "/name", "value": "two"}

    assert Client().patch(add, media_type=PATCH_20).status == 409


def test_a_missing_property_cannot_be_replaced_or_removed():
    client = Client()

    assert client.patch({"op": "replace", "path": "/x", "value": "1"}).status == 409
    assert client.patch({"op": "remove", "path": "/x"}).status == 409


def test_an_empty_patch_is_200():
    client = Client()

    assert client.patch().status == 200
    assert client.images.asked == ("update", ())


REQUIRED = {
    "properties": {"os_distro": {"type": "string"}},
    "required": ["os_distro"],
}


def test_weakness_16_required_counts_for_create_and_for_the_result_of_a_patch():
    image = an_image(properties={"os_distro": "debian"})
    client = Client(image, extension=REQUIRED)

    assert create(client).status == 400
    assert create(client, os_distro="debian").status == 201
    assert client.patch({"op": "add", "path": "/name", "value": "n"}).status == 200
    assert client.patch({"op": "remove", "path": "/os_distro"}).status == 400
    assert client("PUT", f"/v2/images/{ID}/tags/x").status == 204


def test_a_patch_can_mend_an_image_that_lacks_what_is_required():
    client = Client(extension=REQUIRED)

    mended = client.patch({"op": "add", "path": "/os_distro", "value": "debian"})

    assert mended.status == 200
    assert client.images.asked == ("update", (Change("add", "os_distro", "debian"),))


# --- the rest ----------------------------------------------------------------


@pytest.mark.parametrize("action", ["deactivate", "reactivate"])
def test_actions_are_204(action):
    client = Client()

    assert client("POST", f"/v2/images/{ID}/actions/{action}").status == 204
    assert client.images.asked == (action,)


def test_an_unknown_action_is_404():
    assert Client()("POST", f"/v2/images/{ID}/actions/explode").status == 404


def test_delete_is_204():
    client = Client()

    assert client("DELETE", f"/v2/images/{ID}").status == 204
    assert client.images.asked == ("delete",)


@pytest.mark.parametrize(
    ("tag", "status"), [("x" * 255, 204), ("x" * 256, 400), ("a b.c", 204)]
)
def test_a_tag_has_at_most_255_characters(tag, status):
    assert Client()("PUT", f"/v2/images/{ID}/tags/{tag}").status == status


def test_a_tag_outside_the_bmp_is_400():
    path = f"/v2/images/{ID}/tags/" + "\U0001f600".encode().decode("latin-1")

    assert Client()("PUT", path).status == 400


def test_nullable_properties_take_null_and_show_it_as_an_empty_string():
    client = Client(extension={"kernel_id": {"type": ["null", "string"]}})

    assert create(client, kernel_id=None).json["kernel_id"] == ""


def test_a_definition_that_contradicts_an_attribute_stops_the_start():
    with pytest.raises(errors.Misconfigured, match="'name'"):
        Client(extension={"name": {"type": "integer"}})


def test_defaults_of_options_and_settings_agree():
    from imageservice.api import settings

    for opt in settings.OPTS:
        assert getattr(Settings(), opt.dest) == opt.default
