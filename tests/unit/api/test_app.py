import pytest

from imageservice import errors
from imageservice.api.app import TRIES
from imageservice.api.routes import ROUTES
from tests.unit.api.fakes import COLD, FAST, ID, Client, an_image

ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW")


def a_path(template):
    return template.format(store=FAST.id, image_id=ID, member_id="friend", tag="linux")


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
def test_a_known_path_answers_every_other_method_405_with_a_true_allow(path):
    client = Client()
    allowed = {route.method for route in ROUTES if route.path == path}

    for method in set(ALL_METHODS) - allowed:
        reply = client(method, a_path(path))

        assert reply.status == 405
        assert set(reply.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 404), ("HEAD", 404), ("PATCH", 404), ("OPTIONS", 501), ("BREW", 501)],
)
def test_an_unknown_path_is_404_for_known_methods_and_501_for_others(method, status):
    assert Client()(method, "/v2/nothing").status == status


@pytest.mark.parametrize(
    "path", ["/v2/images/", "/v2/", f"/v2/images/{ID}/", "/v2/images\n"]
)
def test_a_trailing_slash_or_newline_does_not_route(path):
    assert Client()("GET", path).status == 404


def test_v2_without_slash_redirects_to_v2_with_slash():
    reply = Client()("GET", "/v2")

    assert reply.status == 302
    assert reply.headers["Location"] == "http://images:9292/v2/"


def test_a_request_without_context_is_401():
    environ = {"imageservice.context": None}

    assert Client()("GET", "/v2/images", **environ).status == 401


@pytest.mark.parametrize("key", ["imageservice.raw_path", "RAW_URI", "REQUEST_URI"])
def test_an_encoded_slash_never_routes(key):
    raw = f"/v2/images/{ID}%2ffile?x=%2F"

    reply = Client()("GET", f"/v2/images/{ID}/file", **{key: raw})

    assert reply.status == 404


def test_an_encoded_slash_in_the_query_is_fine():
    raw = {"imageservice.raw_path": "/v2/images?name=a%2Fb"}

    assert Client()("GET", "/v2/images?name=a%2Fb", **raw).status == 200


def test_weakness_5_invalid_utf8_in_the_path_is_400():
    assert Client()("GET", "/v2/images/\xff\xfe").status == 400


def test_nul_in_the_path_is_400():
    assert Client()("GET", "/v2/images/\0").status == 400


def test_weakness_6_a_tag_in_the_path_is_read_as_utf8():
    client = Client()

    reply = client("PUT", f"/v2/images/{ID}/tags/" + "é ü".encode().decode("latin-1"))

    assert reply.status == 204
    assert client.images.asked == ("add_tag", "é ü")


@pytest.mark.parametrize("image_id", ["unknown", "x" * 37, ID.upper()])
def test_an_unknown_image_is_404(image_id):
    assert Client()("GET", f"/v2/images/{image_id}").status == 404


def test_a_changed_image_is_loaded_again_and_the_operation_repeated():
    client = Client()
    update, tries = client.images.update, []

    def changed_twice(ctx, image, changes):
        tries.append(image)
        if len(tries) < 3:
            raise errors.ImageChanged(image_id=image.id)
        return update(ctx, image, changes)

    client.images.update = changed_twice

    reply = client.patch({"op": "add", "path": "/name", "value": "new"})

    assert reply.status == 200
    assert client.images.finds == 3


def test_an_image_that_keeps_changing_is_409_in_the_end():
    client = Client()

    def always_changed(ctx, image, changes):
        raise errors.ImageChanged(image_id=image.id)

    client.images.update = always_changed

    assert client.patch().status == 409
    assert client.images.finds == TRIES


def test_an_upload_is_never_repeated():
    client = Client()

    def changed(ctx, image, *args):
        raise errors.ImageChanged(image_id=image.id)

    client.images.upload = changed

    octets = {"Content-Type": "application/octet-stream"}
    assert client("PUT", f"/v2/images/{ID}/file", b"x", octets).status == 409
    assert client.images.finds == 1


def test_a_bug_is_a_500_without_detail_and_a_traceback_in_the_log(caplog):
    client = Client()

    def broken(ctx, image):
        raise RuntimeError("password=secret")

    client.images.show = broken

    reply = client("GET", f"/v2/images/{ID}")

    assert reply.status == 500
    assert b"secret" not in reply.body
    assert "RuntimeError" in caplog.text


NO_BODY = [
    route
    for route in ROUTES
    if route.takes.__name__ == "nothing" and route.path != "/v2/info/stores/detail"
]


@pytest.mark.parametrize("route", NO_BODY, ids=lambda r: f"{r.method} {r.path}")
def test_a_body_where_none_is_expected_is_400(route):
    client = Client(stores=(FAST, COLD))

    assert client(route.method, a_path(route.path), b"{}").status == 400


def test_an_empty_chunked_body_where_none_is_expected_is_400():
    chunked = {"Transfer-Encoding": "chunked"}

    reply = Client()("POST", f"/v2/images/{ID}/actions/deactivate", None, chunked)

    assert reply.status == 400


@pytest.mark.parametrize("path", ["/v2/images", "/v2/info/usage"])
def test_a_body_with_a_list_is_not_read(path):
    assert Client()("GET", path, b"whatever").status == 200


@pytest.mark.parametrize("length", ["-1", "abc", "1.0", "²"])
def test_a_content_length_that_is_no_number_is_400(length):
    assert Client()("POST", "/v2/images", b"{}", CONTENT_LENGTH=length).status == 400


@pytest.mark.parametrize(
    "route",
    [r for r in ROUTES if r.status == 204 and r.method != "PUT"],
    ids=lambda r: f"{r.method} {r.path}",
)
def test_success_has_the_status_of_the_table(route):
    reply = Client(an_image(), stores=(FAST, COLD))(route.method, a_path(route.path))

    assert (reply.status, reply.body) == (204, b"")
