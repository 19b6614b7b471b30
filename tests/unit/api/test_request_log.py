"""The log line of a request: complete, and without what should not be in it."""

import logging

from imageservice.api.middleware import REQUEST_ID, RequestLog


def app(environ, start_response):
    start_response("404 Not Found", [("Content-Length", "9")])
    return [b"not there"]


def line(caplog, **environ):
    caplog.set_level(logging.INFO)
    asked = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/v2/images/x",
        "REMOTE_ADDR": "192.0.2.7",
        REQUEST_ID: "req-1",
    }

    body = RequestLog(app)(asked | environ, lambda *_: None)

    assert list(body) == [b"not there"]
    (record,) = caplog.records
    return record.getMessage()


def test_it_tells_who_asked_what_and_what_came_of_it(caplog):
    said = line(caplog)

    assert said.startswith("192.0.2.7 GET /v2/images/x: 404, 9 bytes, 0.0")
    assert said.endswith(", req-1")


def test_the_query_stays_out(caplog):
    assert "secret" not in line(caplog, QUERY_STRING="name=secret")


def test_a_path_cannot_forge_lines(caplog):
    assert "\n" not in line(caplog, PATH_INFO="/v2/\n192.0.2.1 GET /x: 200")
