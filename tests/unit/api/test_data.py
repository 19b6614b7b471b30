import pytest

from imageservice import errors
from imageservice.services.interfaces import Redirect
from tests.unit.api.fakes import COLD, FAST, ID, Client, an_image

OCTETS = "application/octet-stream"
FILE = f"/v2/images/{ID}/file"
ETAG = '"' + "d" * 128 + '"'


def upload(client, body=b"0123456789", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client("PUT", FILE, body, {"Content-Type": OCTETS, **headers})


def test_an_upload_hands_the_body_on_and_is_204():
    client = Client()

    reply = upload(client)

    assert (reply.status, reply.body) == (204, b"")
    assert client.images.asked == ("upload", b"0123456789", 10, None)


def test_a_chunked_upload_has_no_size():
    client = Client()

    client("PUT", FILE, b"x", {"Content-Type": OCTETS}, CONTENT_LENGTH="")

    assert client.images.asked == ("upload", b"x", None, None)


@pytest.mark.parametrize(("announced", "size"), [("12", 12), ("0", 10), (None, 10)])
def test_the_size_header_counts_more_than_content_length_and_0_is_unknown(
    announced, size
):
    client = Client()
    headers = {} if announced is None else {"x_openstack_image_size": announced}

    assert upload(client, **headers).status == 204
    assert client.images.asked[2] == size


@pytest.mark.parametrize("announced", ["", "x", "-1", "1.5", "9" * 5000, "²"])
def test_a_size_header_that_is_no_size_is_400(announced):
    assert upload(Client(), x_openstack_image_size=announced).status == 400


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        pytest.param(FILE, {}, 413, id="too-large"),
        pytest.param("/v2/images/unknown/file", {}, 413, id="before-the-image"),
        pytest.param(FILE, {"X-Image-Meta-Store": "none"}, 413, id="before-the-store"),
        pytest.param(FILE, {"X-OpenStack-Image-Size": "x"}, 400, id="after-the-size"),
        pytest.param(FILE, {"Content-Type": "text/plain"}, 415, id="after-the-type"),
    ],
)
def test_a_full_project_is_told_so_in_the_published_order(path, headers, status):
    client = Client(stores=(FAST, COLD))
    client.usage.is_full = True

    reply = client("PUT", path, b"x", {"Content-Type": OCTETS, **headers})

    assert reply.status == status


@pytest.mark.parametrize(("announced", "size"), [("12", 12), ("0", 10)])
def test_room_is_looked_for_with_the_announced_size(announced, size):
    client = Client()

    upload(client, x_openstack_image_size=announced)

    assert client.usage.asked == size


@pytest.mark.parametrize(
    "media_type",
    ["", "application/json", "application/octet-streams", "Application/Octet-Stream"],
)
def test_another_media_type_is_415_even_for_an_unknown_image(media_type):
    headers = {"Content-Type": media_type}

    assert Client()("PUT", "/v2/images/unknown/file", b"x", headers).status == 415


def test_parameters_of_the_media_type_are_tolerated():
    headers = {"Content-Type": OCTETS + "; charset=binary"}

    assert Client()("PUT", FILE, b"x", headers).status == 204


def test_a_store_can_be_chosen():
    client = Client(stores=(FAST, COLD))

    assert upload(client, x_image_meta_store="cold").status == 204
    assert client.images.asked[3] == "cold"


def test_an_unknown_store_is_400_before_the_image_is_looked_up():
    client = Client(stores=(FAST, COLD))
    headers = {"Content-Type": OCTETS, "X-Image-Meta-Store": "nowhere"}

    assert client("PUT", "/v2/images/unknown/file", b"x", headers).status == 400
    assert client.images.finds == 0


def test_with_a_single_store_the_store_header_is_ignored():
    client = Client()

    assert upload(client, x_image_meta_store="nowhere").status == 204
    assert client.images.asked[3] is None


# --- download ----------------------------------------------------------------


def download(client=None, query="", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return (client or Client())("GET", FILE + query, None, headers)


def test_a_download_tells_length_digest_and_that_ranges_work():
    reply = download()

    assert (reply.status, reply.body) == (200, b"0123456789")
    assert reply.headers == {
        "Content-Type": OCTETS,
        "Content-Length": "10",
        "Content-MD5": "c" * 32,
        "ETag": ETAG,
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
    }


def test_the_chunks_reach_the_server_as_they_are_and_are_closed():
    client = Client()

    download(client)

    [chunks] = client.images.opened
    assert chunks.closed


def test_an_image_without_data_is_204_even_for_a_range():
    client = Client(an_image(size=None, checksum=None, os_hash_value=None))

    assert download(client).status == 204
    assert download(client, range="bytes=0-1").status == 204
    assert download(client, content_range="bytes */5").status == 204


@pytest.mark.parametrize("unit", ["bytes", "BYTES"])
def test_a_range_is_206_with_the_digest_of_the_whole(unit):
    reply = download(range=f"{unit}=2-4")

    assert (reply.status, reply.body) == (206, b"234")
    assert reply.headers["Content-Range"] == "bytes 2-4/10"
    assert reply.headers["Content-Length"] == "3"
    assert reply.headers["Content-MD5"] == "c" * 32


def test_the_old_form_of_a_range_works_when_there_is_no_range():
    assert download(content_range="bytes 1-2/*").body == b"12"
    assert download(content_range="bytes 1-2/10", range="bytes=3-3").body == b"3"


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=-0", "lines=1-2", ""])
def test_weakness_35_an_impossible_range_is_416_with_the_size(header):
    reply = download(range=header)

    assert reply.status == 416
    assert reply.headers["Content-Range"] == "bytes */10"


@pytest.mark.parametrize(
    "header", ["bytes */10", "bytes 1-2/99", "bytes 5-9/9", "bytes 8-12/*", "x"]
)
def test_weakness_36_an_odd_content_range_is_416(header):
    assert download(content_range=header).status == 416


def test_several_ranges_are_400():
    assert download(range="bytes=0-1,3-4").status == 400


def test_who_may_not_download_learns_nothing_from_ranges_and_etags():
    client = Client()

    def forbidden(ctx, image, start, stop, prefer, **how):
        raise errors.ImageDeactivated(image_id=image.id)

    client.images.download = forbidden

    assert download(client).status == 403
    assert download(client, range="bytes=99-").status == 403
    assert download(client, range="bytes=0-1,3-4").status == 403
    assert download(client, if_none_match=ETAG).status == 403


@pytest.mark.parametrize("known", [ETAG, f'"x", {ETAG}', f"W/{ETAG}", "*"])
def test_data_that_the_client_has_is_304(known):
    client = Client()

    reply = download(client, if_none_match=known)

    assert (reply.status, reply.body) == (304, b"")
    assert reply.headers == {"ETag": ETAG}
    assert all(chunks.closed for chunks in client.images.opened)


def test_data_that_the_client_does_not_have_is_sent():
    assert download(if_none_match='"x"').status == 200


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (ETAG, 206),
        (f"W/{ETAG}", 200),
        ('"x"', 200),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 200),
    ],
)
def test_a_range_counts_only_if_the_data_is_the_same(condition, status):
    assert download(range="bytes=0-1", if_range=condition).status == status


def test_without_sha_the_etag_is_the_checksum():
    client = Client(an_image(os_hash_value=None))

    assert download(client).headers["ETag"] == '"' + "c" * 32 + '"'


def test_preferred_stores_are_handed_on():
    client = Client(stores=(FAST, COLD))

    assert download(client, "?prefer=cold,,%20fast").status == 200
    assert client.images.asked == ("download", 0, None, ("cold", "fast"))


def test_an_unknown_preferred_store_is_400():
    assert download(Client(stores=(FAST,)), "?prefer=nowhere").status == 400


def test_who_may_not_choose_a_store_is_told_before_what_he_chose():
    client = Client(stores=(FAST,))

    def forbidden(ctx, image, start, stop, prefer, **how):
        raise errors.PolicyForbids(rule="download_from_store")

    client.images.download = forbidden

    assert download(client, "?prefer=nowhere").status == 403


def test_with_a_single_store_preferring_is_400():
    assert download(Client(), "?prefer=fast").status == 400


# --- redirects ---------------------------------------------------------------

SIGNED = "https://s3.example.net/images/i1?signature=secret"


def redirecting(**options):
    client = Client(**options)
    client.images.redirect = Redirect(SIGNED, "cold")
    return client


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=2-4"}], ids=["all", "range"])
def test_a_redirect_is_307_and_kept_by_nobody(headers):
    reply = download(redirecting(), **headers)

    assert (reply.status, reply.body) == (307, b"")
    assert reply.headers["Location"] == SIGNED
    assert reply.headers["Cache-Control"] == "no-store"
    assert "Content-Type" not in reply.headers


@pytest.mark.parametrize("query", ["?prefer=proxy", "?prefer=cold,proxy"])
def test_a_client_may_refuse_to_be_redirected(query):
    client = redirecting(stores=(FAST, COLD))

    assert download(client, query).body == b"0123456789"
    assert "proxy" not in client.images.asked[3]


def test_it_may_with_a_single_store_as_well():
    assert download(redirecting(), "?prefer=proxy").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"range": "bytes=2-4", "if_range": ETAG}, id="if-range"),
        pytest.param({"content_range": "bytes 2-4/*"}, id="content-range"),
    ],
)
def test_what_no_store_would_understand_is_not_redirected(headers):
    assert download(redirecting(), **headers).body == b"234"


def test_what_needs_no_data_is_not_redirected():
    assert download(redirecting(), if_none_match=ETAG).status == 304
    assert download(redirecting(), range="bytes=99-").status == 416
