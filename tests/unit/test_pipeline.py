"""The shipped Paste file, loaded round a real service."""

import pytest

from imageservice import config, errors, service
from imageservice.db import engine, options, schema
from imageservice.wsgi.threads import Workers
from tests.unit.api.fakes import an_environ, call

KEYSTONE = """
[keystone_authtoken]
auth_type = password
auth_url = http://127.0.0.1:1/v3
www_authenticate_uri = https://keystone.example/v3
username = image
password = secret
project_name = service
user_domain_name = Default
project_domain_name = Default
"""
CORS = """
[cors]
allowed_origin = https://ui.example
"""


def shipped(folder, extra):
    """The application as the shipped Paste file makes it."""
    (folder / "images").mkdir()
    file = folder / "imageservice-api.conf"
    file.write_text(
        f"[database]\nconnection = sqlite:///{folder}/db.sqlite\n"
        f"[glance_store]\nfilesystem_store_datadir = {folder}/images\n{extra}"
    )
    conf = config.load([file])
    database = options.Options.of(conf[options.GROUP])
    schema.sync(engine.Database(config.database_url(conf), database))
    return service.application(conf, Workers())


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return shipped(tmp_path_factory.mktemp("shipped"), KEYSTONE + CORS)


def test_without_an_account_in_keystone_the_start_is_refused(tmp_path):
    with pytest.raises(errors.Misconfigured, match=r"\[keystone_authtoken\] auth_type"):
        shipped(tmp_path, "")


@pytest.mark.parametrize(
    ("told", "instead"),
    [("auth_type = password", "auth_type = pasword"), ("auth_url = ", "auth_uri = ")],
)
def test_an_account_that_is_told_wrongly_ends_the_start_in_one_line(
    tmp_path, told, instead
):
    section = KEYSTONE.replace(told, instead)

    with pytest.raises(errors.Misconfigured, match=r"\[keystone_authtoken\]") as raised:
        shipped(tmp_path, section)

    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_identity_headers_from_outside_are_not_believed(app):
    headers = {
        "X-Identity-Status": "Confirmed",
        "X-Roles": "admin",
        "X-Project-Id": "p",
        "X-User-Id": "u",
    }

    reply = call(app, an_environ("GET", "/v2/images", headers=headers))

    assert reply.status == 401
    assert reply.json["code"] == "401 Unauthorized"
    assert reply.headers["WWW-Authenticate"] == (
        'Keystone uri="https://keystone.example/v3"'
    )
    assert "x-openstack-request-id" in reply.headers


@pytest.mark.parametrize(("path", "status"), [("/", 300), ("/versions", 200)])
def test_versions_need_no_token(app, path, status):
    assert call(app, an_environ("GET", path)).status == status


def test_health_needs_no_token(app):
    reply = call(app, an_environ("GET", "/healthcheck", headers={"Accept": "*/*"}))

    assert (reply.status, reply.body) == (200, b"OK")


def test_a_preflight_is_answered_before_tokens_are_looked_at(app):
    headers = {
        "Origin": "https://ui.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "X-Auth-Token",
    }

    reply = call(app, an_environ("OPTIONS", "/v2/images", headers=headers))

    assert reply.status == 200
    assert reply.headers["Access-Control-Allow-Origin"] == "https://ui.example"
    assert reply.headers["Access-Control-Allow-Headers"] == "X-Auth-Token"


def test_a_401_can_be_read_by_scripts_of_an_allowed_origin(app):
    headers = {"Origin": "https://ui.example"}

    reply = call(app, an_environ("GET", "/v2/images", headers=headers))

    assert reply.status == 401
    assert reply.headers["Access-Control-Allow-Origin"] == "https://ui.example"
