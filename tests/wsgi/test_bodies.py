"""Request bodies: whole, in pieces, late, broken, and asked for first."""

import hashlib
import json
import threading

import pytest


def chunked(data, size):
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def post(path, *fields, body=b""):
    lines = [f"POST {path} HTTP/1.1".encode(), b"Host: a", *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def length(size):
    return b"Content-Length: %d" % size


CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize("path", ["/echo", "/pieces?size=1000", "/pieces?size=700000"])
@pytest.mark.parametrize("size", [None, 1, 997, 65536, 1500000])
def test_a_body_arrives_as_it_was_sent(daemon, make_client, data, path, size):
    client = make_client(daemon)
    sent = data if size != 1 else data[:2000]
    raw = (
        post(path, length(len(sent)), body=sent)
        if size is None
        else post(path, CHUNKED, body=chunked(sent, size))
    )
    # The application may answer before all is sent: who sends must not wait for us.
    threading.Thread(target=client.send, args=(raw,)).start()

    answer = client.answer()

    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(sent).digest()
    assert client.get("/hello").body == b"hello"


@pytest.mark.parametrize("size", [None, 7, 65536])
def test_readinto_fills_what_it_is_given(daemon, make_client, data, size):
    client = make_client(daemon)
    sent = data[:500000]
    raw = (
        post("/into", length(len(sent)), body=sent)
        if size is None
        else post("/into", CHUNKED, body=chunked(sent, size))
    )
    client.send(raw)

    assert client.answer().body == f"{len(sent)} {sum(sent)}".encode()
    assert client.get("/hello").body == b"hello"


@pytest.mark.parametrize("encoded", [False, True], ids=["length", "chunks"])
def test_lines_end_where_they_end(daemon, make_client, encoded):
    text = b"one\ntwo\r\n\nlast"
    client = make_client(daemon)
    fields = [CHUNKED] if encoded else [length(len(text))]
    client.send(
        post("/lines", *fields, body=chunked(text, 4) if encoded else text)
        + post("/lines", length(2), body=b"a\n")
    )

    assert json.loads(client.answer().body) == ["one\n", "two\r\n", "\n", "last"]
    assert json.loads(client.answer().body) == ["a\n"]


def test_100_comes_when_the_application_reads(daemon, make_client):
    client = make_client(daemon)
    client.send(post("/echo", length(3), b"Expect: 100-Continue"))

    assert client.answer().status == 100

    client.send(b"abc")
    assert client.answer().body == b"abc"
    assert client.get("/hello").body == b"hello"


def test_100_comes_before_chunks_too(daemon, make_client):
    client = make_client(daemon)
    client.send(post("/echo", CHUNKED, b"Expect: 100-continue"))

    assert client.answer().status == 100

    client.send(chunked(b"abc", 2))
    assert client.answer().body == b"abc"


def test_a_refused_request_never_hears_100(daemon, make_client):
    client = make_client(daemon)
    client.send(post("/ignore", length(3), b"Expect: 100-continue"))

    assert [answer.status for answer in client.answers()] == [403]


def test_no_100_follows_a_final_answer(daemon, make_client):
    client = make_client(daemon)
    client.send(post("/late", length(3), b"Expect: 100-continue"))

    answer = client.answer()

    assert (answer.status, answer.body) == (200, b"o!")
    assert client.answers() == []


def test_a_request_without_body_expects_nothing(daemon, make_client):
    client = make_client(daemon)
    client.send(post("/echo", b"Expect: 100-continue"))

    assert client.answer().status == 200


def test_a_client_that_leaves_in_the_middle_breaks_the_body(daemon, make_client):
    client = make_client(daemon)
    client.send(post("/echo", length(10), body=b"abc"))
    client.socket.shutdown(1)

    answer = client.answer()

    assert answer.status == 400
    assert b"ended early" in answer.body
    assert client.answers() == []


def test_a_slow_body_is_given_up(make_daemon, make_client):
    daemon = make_daemon(client_socket_timeout=1).start()
    client = make_client(daemon)
    client.send(post("/echo", length(10), body=b"abc"))

    answer = client.answer()

    assert (answer.status, b"too long" in answer.body) == (400, True)
    assert client.answers() == []


def test_a_dripping_head_is_given_up(make_daemon, make_client):
    daemon = make_daemon(client_head_timeout=1).start()
    client = make_client(daemon)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    stop = threading.Event()

    def drip():
        while not stop.wait(0.2):
            client.send(b"X: y\r\n")

    threading.Thread(target=drip).start()
    answer = client.answer()
    stop.set()

    assert answer.status == 408


def test_a_client_that_says_nothing_is_dropped(make_daemon, make_client):
    daemon = make_daemon(client_socket_timeout=1).start()

    assert make_client(daemon).answers() == []


def test_the_answer_to_an_unread_upload_can_be_read(daemon, make_client, data):
    client = make_client(daemon)

    client.send(post("/ignore", length(len(data)), body=data))

    assert client.answer().status == 403
