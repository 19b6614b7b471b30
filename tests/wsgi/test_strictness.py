"""What is sent, byte by byte, and what comes back: statuses, how often, and the end.

Each case is sent on a connection of its own. A case that keeps the connection is followed
by a request whose answer must be the next one; of a case that does not, nothing but the
named answers may come: whatever was smuggled after it is not answered.
"""

import pytest

KEPT = True
CLOSED = False

SMUGGLED = b"GET /hello?smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def get(target=b"/hello", *fields, version=b"1.1", host=b"Host: a"):
    lines = [b"GET " + target + b" HTTP/" + version, *([host] if host else []), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def post(*fields, body=b"", path=b"/echo", version=b"1.1"):
    lines = [b"POST " + path + b" HTTP/" + version, b"Host: a", *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def case(name, data, statuses, kept):
    return pytest.param(data, statuses, kept, id=name.replace(" ", "-"))


TABLE = [
    # --- good ones
    case("plain", get(), [200], KEPT),
    case("pipelined", get() + get(b"/nothing") + get(), [200, 404, 200], KEPT),
    case("pipelined bodies", post(b"Content-Length: 3", body=b"abc") * 3, [200] * 3, KEPT),
    case("an empty line before", b"\r\n" + get(), [200], KEPT),
    case("close", get(b"/hello", b"Connection: close") + get(), [200], CLOSED),
    case("close among others", get(b"/hello", b"Connection: te, Close"), [200], CLOSED),
    case("the application closes", get(b"/closing") + get(), [200], CLOSED),
    case("1.0", get(version=b"1.0") + get(), [200], CLOSED),
    case("1.0 without host", get(version=b"1.0", host=None), [200], CLOSED),
    case("1.0 keep-alive", get(b"/hello", b"Connection: keep-alive", version=b"1.0"), [200], KEPT),
    case("1.0 of unknown length", get(b"/generated", version=b"1.0"), [200], CLOSED),
    case("absolute form", get(b"http://b:80/hello?a=b"), [200], KEPT),
    case("absolute form without path", get(b"http://b"), [200], KEPT),
    case("chunks", CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", [200], KEPT),
    case("chunks in capitals", post(b"Transfer-Encoding: CHUNKED", body=b"0\r\n\r\n"), [200], KEPT),
    case("chunk extension and trailer", CHUNKED + b"3;a=b\r\nabc\r\n0\r\nT: x\r\n\r\n", [200], KEPT),
    case("upgrade is ignored", get(b"/hello", b"Connection: upgrade", b"Upgrade: h2c"), [200], KEPT),
    case("small unread body", post(b"Content-Length: 3", body=b"abc", path=b"/ignore"), [403], KEPT),
    case("utf-8 path", get(b"/hello/%C3%A9"), [200], KEPT),
    case("obs-text in a value", get(b"/hello", b"X-A: \xc3\xa9"), [200], KEPT),
    case("repeated list field", get(b"/hello", b"Accept: a/b", b"Accept: c/d"), [200], KEPT),
    case("200 fields", get(b"/hello", *[b"A: b"] * 199), [200], KEPT),
    # --- where a body ends
    case("two equal lengths", post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), [400], CLOSED),
    case("two lengths", post(b"Content-Length: 3", b"Content-Length: 0", body=b"abc"), [400], CLOSED),
    case("list of lengths", post(b"Content-Length: 3, 3", body=b"abc"), [400], CLOSED),
    case("signed length", post(b"Content-Length: +3", body=b"abc"), [400], CLOSED),
    case("negative length", post(b"Content-Length: -3", body=b"abc"), [400], CLOSED),
    case("hexadecimal length", post(b"Content-Length: 0x3", body=b"abc"), [400], CLOSED),
    case("length with a blank", post(b"Content-Length: 1 3", body=b"abc"), [400], CLOSED),
    case("empty length", post(b"Content-Length:", body=b"abc"), [400], CLOSED),
    case("superscript length", post(b"Content-Length: \xb3", body=b"abc"), [400], CLOSED),
    case("huge length", post(b"Content-Length: 99999999999999999999", body=b"abc"), [400], CLOSED),
    case("CL.TE", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED), [400], CLOSED),
    case("TE.CL", post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"5c\r\n" + SMUGGLED), [400], CLOSED),
    case("TE.TE", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + SMUGGLED), [400], CLOSED),
    case("chunked twice", post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), [400], CLOSED),
    case("gzip then chunked", post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), [400], CLOSED),
    case("xchunked", post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SMUGGLED), [400], CLOSED),
    case("quoted chunked", post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), [400], CLOSED),
    case("TE with vertical tab", post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), [400], CLOSED),
    case("TE with blank before colon", post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + SMUGGLED), [400], CLOSED),
    case("folded TE", post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n" + SMUGGLED), [400], CLOSED),
    case("TE in 1.0", post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"1.0"), [400], CLOSED),
    case("TE with underscore counts for nothing", post(b"Transfer_Encoding: chunked"), [200], KEPT),
    # --- chunks
    case("size with 0x", CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("signed size", CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("size with a blank before", CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("size with a blank after", CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("size with underscore", CHUNKED + b"1_0\r\nabc\r\n0\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("empty size", CHUNKED + b"\r\nabc\r\n0\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("size of 17 digits", CHUNKED + b"00000000000000003\r\nabc\r\n0\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("size ended by LF", CHUNKED + b"3\nabc\r\n0\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("chunk ended by LF", CHUNKED + b"3\r\nabc\n0\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("chunk too long", CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("chunk too short", CHUNKED + b"5\r\nabc\r\n0\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("CR in an extension", CHUNKED + b"3;a\rb\r\nabc\r\n0\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("long extension", CHUNKED + b"3;" + b"a" * 5000 + b"\r\nabc\r\n0\r\n\r\n", [400], CLOSED),
    case("many extensions", CHUNKED + (b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 20 + b"0\r\n\r\n", [400], CLOSED),
    case("trailer without colon", CHUNKED + b"0\r\nfoo\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("trailer with a blank before colon", CHUNKED + b"0\r\nA : b\r\n\r\n" + SMUGGLED, [400], CLOSED),
    case("many trailers", CHUNKED + b"0\r\n" + b"A: bbbbbbbbbbbbbbbbbb\r\n" * 1000 + b"\r\n", [400], CLOSED),
    # --- request lines
    case("no version", b"GET /\r\nHost: a\r\n\r\n", [400], CLOSED),
    case("version 0.9", get(version=b"0.9"), [505], CLOSED),
    case("version 1.2", get(version=b"1.2"), [505], CLOSED),
    case("version 2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505], CLOSED),
    case("version in small letters", b"GET / http/1.1\r\nHost: a\r\n\r\n", [400], CLOSED),
    case("two blanks", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", [400], CLOSED),
    case("tab for a blank", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", [400], CLOSED),
    case("blank in the target", get(b"/a b"), [400], CLOSED),
    case("blank at the end", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", [400], CLOSED),
    case("blank at the start", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", [400], CLOSED),
    case("unknown method", b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", [501], CLOSED),
    case("method in small letters", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", [501], CLOSED),
    case("malformed method", b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", [400], CLOSED),
    case("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", [400], CLOSED),
    case("connect", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", [501], CLOSED),
    case("connect to a path", b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", [501], CLOSED),
    case("options of everything", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", [501], CLOSED),
    case("get everything", get(b"*"), [400], CLOSED),
    case("relative target", get(b"hello"), [400], CLOSED),
    case("other scheme", get(b"ftp://a/hello"), [400], CLOSED),
    case("absolute form with user", get(b"http://u@a/hello"), [400], CLOSED),
    case("fragment", get(b"/hello#a"), [400], CLOSED),
    # --- paths
    case("raw byte in the path", get(b"/hello\xe9"), [400], CLOSED),
    case("NUL in the path", get(b"/hello%00"), [400], CLOSED),
    case("raw NUL in the path", get(b"/hello\0"), [400], CLOSED),
    case("path that is not utf-8", get(b"/hello/%E9"), [400], CLOSED),
    case("overlong utf-8", get(b"/hello/%C0%AF"), [400], CLOSED),
    case("surrogate", get(b"/hello/%ED%A0%80"), [400], CLOSED),
    case("half an encoding", get(b"/hello/%4"), [400], CLOSED),
    case("encoding of no digits", get(b"/hello/%zz"), [400], CLOSED),
    case("long target", get(b"/hello?" + b"a" * 5000), [414], CLOSED),
    case("endless target", b"GET /" + b"a" * 50000, [414], CLOSED),
    # --- fields
    case("no host", get(host=None), [400], CLOSED),
    case("two hosts", get(b"/hello", b"Host: b"), [400], CLOSED),
    case("empty host", get(host=b"Host:"), [400], CLOSED),
    case("host with a path", get(host=b"Host: a/b"), [400], CLOSED),
    case("host with a user", get(host=b"Host: u@a"), [400], CLOSED),
    case("folded field", get(b"/hello", b"X-A: b\r\n c"), [400], CLOSED),
    case("folded first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", [400], CLOSED),
    case("blank before colon", get(b"/hello", b"X-A : b"), [400], CLOSED),
    case("field without colon", get(b"/hello", b"X-A"), [400], CLOSED),
    case("field without name", get(b"/hello", b": b"), [400], CLOSED),
    case("bare LF", get(b"/hello", b"X-A: b\nX-B: c"), [400], CLOSED),
    case("bare LF throughout", b"GET /hello HTTP/1.1\nHost: a\n\n", [400], CLOSED),
    case("bare CR", get(b"/hello", b"X-A: b\rX-B: c"), [400], CLOSED),
    case("NUL in a value", get(b"/hello", b"X-A: b\0c"), [400], CLOSED),
    case("control byte in a value", get(b"/hello", b"X-A: b\x01c"), [400], CLOSED),
    case("high byte in a name", get(b"/hello", b"X-\xe9: b"), [400], CLOSED),
    case("long field", get(b"/hello", b"X-A: " + b"b" * 5000), [431], CLOSED),
    case("endless field", b"GET / HTTP/1.1\r\nX-A: " + b"b" * 50000, [431], CLOSED),
    case("long head", get(b"/hello", *[b"X-A: " + b"b" * 4000] * 5), [431], CLOSED),
    case("many fields", get(b"/hello", *[b"A: b"] * 201), [431], CLOSED),
    case("roles twice", get(b"/hello", b"X-Roles: admin", b"X-Roles: member"), [400], CLOSED),
    case("token twice", get(b"/hello", b"X-Auth-Token: a", b"x-auth-token: b"), [400], CLOSED),
    case("range twice", get(b"/hello", b"Range: bytes=0-1", b"Range: bytes=2-3"), [400], CLOSED),
    case("other expectation", post(b"Expect: tea", b"Content-Length: 3", body=b"abc"), [417], CLOSED),
    # --- bodies that are not read
    case("large unread body", post(b"Content-Length: 70000", path=b"/ignore") + SMUGGLED, [403], CLOSED),
    case("unread chunks", post(b"Transfer-Encoding: chunked", path=b"/ignore", body=b"3\r\nabc\r\n0\r\n\r\n") + SMUGGLED, [403], CLOSED),
    case("half-read body", post(b"Content-Length: 6", path=b"/some", body=b"abcdef"), [200], KEPT),
    case("unread body with expectation", post(b"Expect: 100-continue", b"Content-Length: 3", path=b"/ignore") + SMUGGLED, [403], CLOSED),
    # --- answers
    case("failing application", get(b"/error"), [500], KEPT),
    case("header with line break", get(b"/split"), [500], KEPT),
    case("more than announced", get(b"/long"), [200], CLOSED),
    case("204", get(b"/status?code=204"), [204], KEPT),
    case("304", get(b"/status?code=304"), [304], KEPT),
    case("chunked answer", get(b"/generated"), [200], KEPT),
    case("written answer", get(b"/written"), [200], KEPT),
]  # fmt: skip


@pytest.mark.parametrize(("data", "statuses", "kept"), TABLE)
def test_each_case_gets_its_answers_and_no_more(
    daemon, make_client, data, statuses, kept
):
    client = make_client(daemon)
    client.send(data)

    answers = [client.answer() for _ in statuses]

    assert [answer and answer.status for answer in answers] == statuses
    if kept:
        assert "close" not in answers[-1].headers.get("connection", "")
        assert client.get("/environ?next").body.count(b'"next"') == 1
    else:
        assert client.answers() == []


def test_every_case_arrives_in_single_bytes_too(daemon, make_client):
    for parameters in TABLE[::4]:
        data, statuses, _ = parameters.values
        if len(data) > 300:
            continue
        client = make_client(daemon)
        for byte in data:
            client.send(bytes((byte,)))
        answers = [client.answer() for _ in statuses]
        assert [a and a.status for a in answers] == statuses, parameters.id
