import pytest

from imageservice import errors
from imageservice.api import app, faults
from tests.unit.api.fakes import Client, an_environ


def subclasses(kind):
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


assert app  # so that the API's own errors are defined


@pytest.mark.parametrize("kind", sorted(set(subclasses(errors.Error)), key=str))
def test_every_error_has_a_status_that_is_no_bug(kind):
    status = faults.status_of(kind)

    assert status in faults.TITLES
    assert status < 500 or issubclass(kind, errors.Misconfigured | errors.Unavailable)


def test_the_nearest_class_decides():
    assert faults.status_of(errors.ImageNotFound) == 404
    assert faults.status_of(errors.NoData) == 204
    assert faults.status_of(errors.StoreFull) == 413


PLAIN = "text/plain; charset=UTF-8"
HTML = "text/html; charset=UTF-8"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, PLAIN),
        ("text/plain", PLAIN),
        ("image/png", PLAIN),
        ("*/*", HTML),
        ("text/html", HTML),
        ("not a media type", HTML),
        ("application/json", "application/json"),
        ("application/xml, application/json;q=0.5", "application/json"),
        ("application/json, */*;q=0.1", "application/json"),
    ],
)
def test_the_form_of_an_error_follows_accept(accept, media_type):
    environ = {} if accept is None else {"HTTP_ACCEPT": accept}

    answer = faults.answer_to(errors.ImageNotFound(image_id="<b>"), environ)

    assert dict(answer.headers)["Content-Type"] == media_type


def test_json_errors_have_message_code_and_title():
    reply = Client()("GET", "/v2/images/<b>")

    assert reply.json == {
        "message": "No image found with ID <b>",
        "code": "404 Not Found",
        "title": "Not Found",
    }


def test_html_errors_escape_the_message_and_stand_on_lines_of_their_own():
    environ = {"HTTP_ACCEPT": "*/*"}

    body = faults.answer_to(errors.ImageNotFound(image_id="<b>"), environ).body

    assert b"\n  <h1>404 Not Found</h1>\n  No image found with ID &lt;b&gt;<br" in body


def test_text_errors_begin_with_the_status():
    body = faults.answer_to(errors.ImageNotFound(image_id="x"), {}).body

    assert body.startswith(b"404 Not Found\n\nNo image found with ID x\n")


def test_an_answer_to_head_has_no_body():
    environ = an_environ("HEAD", "/")

    assert faults.refusal(404, "nothing", environ).body == b""


def test_weakness_35_416_tells_the_size():
    answer = faults.answer_to(errors.RangeNotSatisfiable(size=10), {})

    assert dict(answer.headers)["Content-Range"] == "bytes */10"


def test_weakness_8_415_has_a_clean_message():
    reply = Client()("PUT", "/v2/images/x/file", b"x")

    assert reply.status == 415
    assert "$" not in reply.message
