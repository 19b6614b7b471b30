import pytest

from imageservice.domain.changes import Change
from tests.unit.api.fakes import ID, PATCH, PATCH_20, Client


def changes_of(*operations, media_type=PATCH):
    client = Client(admin=True)
    reply = client.patch(*operations, media_type=media_type)
    assert reply.status in (200, 409), reply.body
    return client.images.asked[1]


@pytest.mark.parametrize(
    ("pointer", "name"),
    [
        ("/x", "x"),
        ("/", ""),
        ("/a~1b", "a/b"),
        ("/a~0b", "a~b"),
        ("/a~01b", "a~1b"),
        ("/ x ", "x"),
    ],
)
def test_a_pointer_names_one_property(pointer, name):
    operation = {"op": "add", "path": pointer, "value": "v"}

    assert changes_of(operation) == (Change("add", name, "v"),)


@pytest.mark.parametrize(
    "pointer",
    [
        "", "x", "//", "/a//b", "/a/", "/a~", "/a~2", "/a/b", "/tags/-", "/tags/0",
        "/locations", "/locations/0/url",
    ],
)  # fmt: skip
def test_a_malformed_pointer_is_400(pointer):
    operation = {"op": "add", "path": pointer, "value": "v"}

    assert Client().patch(operation).status == 400


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/locations/-", "value": {"url": "x", "metadata": {}}},
        {"op": "replace", "path": "/locations", "value": []},
        {"op": "remove", "path": "/locations/0"},
    ],
)
def test_locations_are_403(operation):
    assert Client().patch(operation).status == 403


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param("add", id="no object"),
        pytest.param({"path": "/x", "value": "v"}, id="no op"),
        pytest.param({"op": "add", "value": "v"}, id="no path"),
        pytest.param({"op": "add", "path": "/x"}, id="no value"),
        pytest.param({"op": "add", "path": 3, "value": "v"}, id="weakness 2: path 3"),
        pytest.param({"op": ["add"], "path": "/x", "value": "v"}, id="op is a list"),
        pytest.param({"op": "move", "path": "/x", "from": "/y"}, id="move"),
        pytest.param({"op": "copy", "path": "/x", "from": "/y"}, id="copy"),
        pytest.param({"op": "test", "path": "/x", "value": "v"}, id="test"),
        pytest.param({"op": "add", "path": "/x", "value": 3}, id="number as property"),
        pytest.param({"op": "add", "path": "/name", "value": 3}, id="number as name"),
        pytest.param({"op": "add", "path": "/min_ram", "value": -1}, id="negative"),
        pytest.param({"op": "add", "path": "/tags", "value": "a"}, id="tags no list"),
        pytest.param(
            {"op": "add", "path": "/" + "n" * 256, "value": "v"},
            id="weakness 14: long name",
        ),
        pytest.param({"op": "add", "path": "/x", "value": "\U0001f600"}, id="not BMP"),
        pytest.param({"op": "add", "path": "/x", "value": "\0"}, id="NUL"),
    ],
)
def test_a_bad_operation_is_400(operation):
    client = Client()

    assert client.patch(operation).status == 400
    assert client.images.asked is None


@pytest.mark.parametrize(
    "name",
    ["id", "status", "size", "checksum", "self", "stores", "os_hash_algo", "deleted"]
    + ["os_glance_x", "location"],
)
@pytest.mark.parametrize("verb", ["add", "replace", "remove"])
def test_read_only_and_reserved_names_are_403_whatever_the_value(verb, name):
    operation = {"op": verb, "path": f"/{name}", "value": 3}

    assert Client().patch(operation).status == 403


@pytest.mark.parametrize("name", ["image_id", "member", "extra_properties"])
def test_weakness_13_internal_names_are_ordinary_properties(name):
    operation = {"op": "add", "path": f"/{name}", "value": "v"}

    assert Client().patch(operation).json[name] == "v"


def test_operations_are_all_checked_before_the_image_is_looked_up():
    bad = [{"op": "add", "path": "/name", "value": 3}]

    reply = Client()("PATCH", "/v2/images/unknown", bad, {"Content-Type": PATCH})

    assert reply.status == 400


@pytest.mark.parametrize(
    "media_type",
    ["", "application/json", PATCH.upper(), PATCH + "x"],
)
def test_another_media_type_is_415_with_accept_patch(media_type):
    reply = Client().patch(media_type=media_type)

    assert reply.status == 415
    assert reply.headers["Accept-Patch"] == f"{PATCH_20}, {PATCH}"


def test_parameters_of_the_media_type_are_tolerated():
    assert Client().patch(media_type=PATCH + " ; charset=utf-8").status == 200


@pytest.mark.parametrize("body", [{}, b"", b"null", b"{", b'"add"'])
def test_a_patch_that_is_no_array_is_400(body):
    headers = {"Content-Type": PATCH}

    assert Client()("PATCH", f"/v2/images/{ID}", body, headers).status == 400


@pytest.mark.parametrize(("count", "status"), [(512, 200), (513, 400)])
def test_a_patch_has_at_most_512_operations(count, status):
    operations = [{"op": "add", "path": "/x", "value": str(n)} for n in range(count)]

    assert Client().patch(*operations).status == status


def test_the_2_0_form_has_the_verb_as_a_member():
    operations = [
        {"add": "/x", "value": "1"},
        {"replace": "/x", "value": "2"},
        {"remove": "/x"},
    ]

    assert changes_of(*operations, media_type=PATCH_20) == (
        Change("create", "x", "1"),
        Change("replace", "x", "2"),
        Change("remove", "x"),
    )


@pytest.mark.parametrize(
    "operation",
    [
        {"add": "/x", "replace": "/x", "value": "1"},
        {"value": "1"},
        {"op": "add", "path": "/x", "value": "1"},
    ],
)
def test_the_2_0_form_needs_exactly_one_verb(operation):
    assert Client().patch(operation, media_type=PATCH_20).status == 400


def test_an_integer_may_be_written_with_a_point():
    [change] = changes_of({"op": "add", "path": "/min_ram", "value": 2.0})

    assert type(change.value) is int
