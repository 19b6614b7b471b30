"""Answers: lengths, files, and ends that nobody can take for whole."""

import json

import pytest


def test_the_environ_is_what_was_asked(daemon, make_client):
    client = make_client(daemon)
    client.send(
        b"GET http://b:81/environ/%C3%A9%2Fx?a=%zz&b HTTP/1.1\r\nHost: a\r\n"
        b"X-Roles:  member \r\nX_Roles: admin\r\nX-User_Id: root\r\nProxy: evil\r\n"
        b"Accept: a/b\r\naccept: c/d\r\nCookie: a=1\r\nCookie: b=2\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
    )

    environ = json.loads(client.answer().body)

    expected = {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/environ/é/x".encode().decode("latin-1"),
        "imageservice.raw_path": "/environ/%C3%A9%2Fx",
        "QUERY_STRING": "a=%zz&b",
        "HTTP_HOST": "b:81",
        "HTTP_X_ROLES": "member",
        "HTTP_ACCEPT": "a/b,c/d",
        "HTTP_COOKIE": "a=1; b=2",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "0",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
    }
    assert expected.items() <= environ.items()
    assert [k for k in environ if k.startswith("HTTP_")] == [
        "HTTP_HOST",
        "HTTP_X_ROLES",
        "HTTP_ACCEPT",
        "HTTP_COOKIE",
    ]


def test_a_body_of_one_piece_has_its_length(daemon):
    answer = daemon.get("/hello")

    assert answer.headers["content-length"] == "5"
    assert "transfer-encoding" not in answer.headers
    assert "date" in answer.headers


@pytest.mark.parametrize(
    ("path", "length"), [("/hello", None), ("/announced", "10"), ("/generated", None)]
)
def test_head_has_no_body(daemon, make_client, path, length):
    client = make_client(daemon)
    client.send(f"HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    answer = client.answer(head_only=True)

    assert (answer.status, answer.headers.get("content-length")) == (200, length)
    assert client.get("/hello").body == b"hello"


def test_204_has_no_length(daemon):
    answer = daemon.get("/status?code=204")

    assert answer.headers["x-test"] == "1"
    assert "content-length" not in answer.headers
    assert "transfer-encoding" not in answer.headers


def test_an_answer_of_unknown_length_is_chunked(daemon):
    answer = daemon.get("/generated")

    assert (answer.body, answer.is_whole) == (b"one,two", True)
    assert answer.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/short", b"12345"),
        ("/announced?fail=1", b"12345"),
        ("/generated?fail=1", b"one,two"),
        ("/data?length=100&announce=200", None),
        ("/data?offset=3150000&length=100", None),
    ],
)
def test_half_an_answer_never_looks_whole(daemon, make_client, path, body):
    client = make_client(daemon)

    answer = client.get(path)

    assert answer.status == 200
    assert not answer.is_whole
    # A reset may overtake what was sent before it.
    assert body is None or body.startswith(answer.body)
    assert client.answers() == []


def test_an_answer_to_1_0_that_breaks_is_reset(daemon, make_client):
    client = make_client(daemon)
    client.send(b"GET /generated?fail=1 HTTP/1.0\r\n\r\n")

    client.answer()

    assert client.was_reset


def test_a_failing_application_tells_no_detail(daemon):
    answer = daemon.get("/error")

    assert answer.status == 500
    assert b"asked" not in answer.body
    request_id = answer.headers["x-openstack-request-id"]
    assert request_id.startswith("req-")
    daemon.wait_for("RuntimeError: asked to fail")
    daemon.wait_for(f"GET /error failed, {request_id}")


def test_a_path_writes_no_lines_into_the_log(daemon):
    daemon.get("/error/%0A2026-01-01%20forged")

    daemon.wait_for("GET /error/%0A2026-01-01%20forged failed")


def test_a_failure_is_told_by_the_id_that_the_request_has(daemon):
    answer = daemon.get("/error?request_id=req-mine")

    assert answer.headers["x-openstack-request-id"] == "req-mine"


@pytest.mark.parametrize("path", ["/lost", "/gone"])
def test_a_store_that_fails_before_the_first_byte_is_unavailable(daemon, path):
    answer = daemon.get(path)

    assert answer.status == 503
    assert b"/secret/folder" not in answer.body
    request_id = answer.headers["x-openstack-request-id"]
    daemon.wait_for(f"{request_id}: ")
    daemon.wait_for("/secret/folder")


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 0),
        (0, 1),
        (0, 3150049),
        (1, 3150048),
        (1048575, 2),
        (1048576, 1048576),
        (3150048, 1),
    ],
)
def test_files_are_sent_byte_by_byte_equal(daemon, data, offset, length):
    answer = daemon.get(f"/data?offset={offset}&length={length}")

    assert answer.is_whole
    assert answer.body == data[offset : offset + length]


def test_a_file_that_breaks_is_continued(daemon, data):
    answer = daemon.get(f"/broken?length={len(data) + 4}&rest=more")

    assert answer.is_whole
    assert answer.body == data + b"more"


def test_a_file_that_breaks_for_good_breaks_the_answer(daemon, data):
    assert not daemon.get(f"/broken?length={len(data) + 4}").is_whole
    assert not daemon.get(f"/broken?length={len(data) + 4}&rest=few").is_whole


def test_the_file_wrapper_sends_from_where_the_file_is(daemon, data):
    assert daemon.get("/wrapped").body == data[1000:]


def test_pipelined_files_come_one_after_the_other(daemon, make_client, data):
    client = make_client(daemon)
    request = b"GET /data?offset=%d&length=400000 HTTP/1.1\r\nHost: a\r\n\r\n"
    client.send(b"".join(request % offset for offset in (0, 5, 10)))

    bodies = [client.answer().body for _ in range(3)]

    assert bodies == [data[at : at + 400000] for at in (0, 5, 10)]
