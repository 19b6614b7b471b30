"""What the audit filter hides from events, and from nobody else."""

import json
import logging
from pathlib import Path

import pytest

from imageservice import config, errors
from imageservice.api.answer import Answer
from imageservice.filters import audit
from imageservice.notifications import events
from tests.unit.api.fakes import an_environ, call

MAP = Path(__file__).parents[3] / "etc" / "imageservice-audit-map.conf"
SENT = {
    "X-Auth-Token": "token-of-a-user",
    "X-Service-Token": "token-of-a-service",
    "X-Forwarded-For": "203.0.113.66",
    "X-User-Id": "u",
}


def audited(app, tmp_path, text="", **given):
    file = tmp_path / "api.conf"
    file.write_text(f"[DEFAULT]\n{text}")
    return audit.wrap(app, config.load([file]), given, events.Silent(), MAP)


class Inner:
    """Remembers the headers it was called with."""

    def __call__(self, environ, start_response):
        self.environ = dict(environ)
        return Answer(200, [], b"inner").send(start_response)


def test_the_filters_behind_see_all_headers_and_events_no_secrets(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    inner = Inner()

    call(audited(inner, tmp_path), an_environ("GET", "/v2/images", headers=SENT))

    assert inner.environ["HTTP_X_AUTH_TOKEN"] == "token-of-a-user"
    assert inner.environ["HTTP_X_SERVICE_TOKEN"] == "token-of-a-service"
    assert inner.environ["HTTP_X_FORWARDED_FOR"] == "203.0.113.66"
    assert "token-of" not in caplog.text
    assert "203.0.113.66" not in caplog.text


def test_a_failure_behind_it_is_told_too(tmp_path, caplog):
    caplog.set_level(logging.INFO)

    def broken(environ, start_response):
        raise ZeroDivisionError

    app = audited(broken, tmp_path)
    with pytest.raises(ZeroDivisionError):
        call(app, an_environ("GET", "/v2/images", headers=SENT))

    kind, _, event = caplog.messages[-1].partition(" ")
    assert kind == "audit.http.response"
    assert json.loads(event)["outcome"] == "unknown"
    assert "token-of" not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "action", "kind"),
    [
        ("GET", "/v2/images", "read/list", "/images"),
        ("POST", "/v2/images", "create", "/images"),
        ("PATCH", "/v2/images/x", "update", "/images/image"),
        ("PUT", "/v2/images/x/file", "update", "/images/image/file"),
        ("GET", "/v2/images/x/file", "read", "/images/image/file"),
        ("POST", "/v2/images/x/actions/deactivate", "disable", None),
        ("POST", "/v2/images/x/members", "create", "/images/image/members"),
        ("DELETE", "/v2/images/x/members/y", "delete", "/images/image/members/member"),
        ("PUT", "/v2/images/x/tags/y", "update", "/images/image/tags/tag"),
    ],
)
def test_the_map_that_is_shipped_names_requests(
    tmp_path, caplog, method, path, action, kind
):
    caplog.set_level(logging.INFO)

    call(audited(Inner(), tmp_path), an_environ(method, path, headers=SENT))

    event = json.loads(caplog.messages[-1].partition(" ")[2])
    assert event["action"] == action
    if kind:
        assert event["target"]["typeURI"] == f"service/storage/image{kind}"


def test_no_body_is_read(tmp_path):
    class Untouched:
        def read(self, size=-1):
            raise AssertionError("the body was read")

    environ = an_environ("POST", "/v2/images/x/action", headers=SENT)
    environ |= {"wsgi.input": Untouched(), "CONTENT_LENGTH": "1000000000"}

    call(audited(Inner(), tmp_path), environ)


@pytest.mark.parametrize(
    "text",
    [
        "[audit_middleware_notifications]\ntopics = x\n",
        "[audit_middleware_notifications]\ndriver = messagingv2\n",
    ],
)
def test_a_way_of_its_own_is_refused(tmp_path, text):
    with pytest.raises(errors.Misconfigured, match="oslo_messaging_notifications"):
        audited(Inner(), tmp_path, text)
