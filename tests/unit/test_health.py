"""Weakness ✗9: the health page knows of the database and the stores, if asked to."""

import shutil
from types import SimpleNamespace

import pytest

from imageservice import config, errors, service
from imageservice import health as health_page
from imageservice.db import engine, options, schema
from imageservice.stores.memory import Memory
from imageservice.stores.registry import Store, Stores
from imageservice.tasks.attendance import Attendance
from imageservice.wsgi.threads import Workers
from tests import daemon
from tests.unit.api.fakes import an_environ, call

SHALLOW = "backends = disable_by_file"
DEEP = f"{SHALLOW}, imageservice_database, imageservice_stores"
MARKER = "/nonexistent"


@pytest.fixture
def health(tmp_path):
    """Make a service whose health page asks ``backends``; return what calls the page."""

    def make(backends):
        paste = daemon.PASTE.replace(SHALLOW, backends)
        file = daemon.configure(
            tmp_path,
            {
                "database": {"connection": f"sqlite:///{tmp_path}/db.sqlite"},
                "DEFAULT": {"enabled_backends": "fast:file, slow:file"},
                "glance_store": {"default_backend": "fast"},
                "fast": {"filesystem_store_datadir": tmp_path / "fast"},
                "slow": {"filesystem_store_datadir": tmp_path / "slow"},
            },
            paste.replace(MARKER, str(tmp_path / "disabled")),
        )
        (tmp_path / "fast").mkdir()
        (tmp_path / "slow").mkdir()
        conf = config.load([file])
        database = engine.Database(
            config.database_url(conf), options.Options.of(conf[options.GROUP])
        )
        schema.sync(database)
        database.close()
        app = service.application(conf, Workers())
        plain = {"Accept": "text/plain"}
        return lambda: call(app, an_environ("GET", "/healthcheck", headers=plain))

    return make


def test_by_default_it_says_ok_whatever_has_gone(health, tmp_path):
    ask = health(SHALLOW)
    shutil.rmtree(tmp_path / "slow")

    assert (ask().status, ask().body) == (200, b"OK")


def test_it_says_ok_as_long_as_all_is_well(health):
    ask = health(DEEP)

    assert (ask().status, ask().body) == (200, b"OK")


class Gone(Memory):
    """A store that does not work; nobody may ask it about its health but who looks after it."""

    def check(self):
        raise errors.StoreUnavailable(store=self.name, reason="its disk is gone")


def test_a_store_that_has_gone_is_named_and_why_in_the_details(monkeypatch):
    kinds = {"fast": Memory, "slow": Gone}
    stores = [
        Store(name, kind(name, Workers()), default=name == "fast")
        for name, kind in kinds.items()
    ]
    parts = SimpleNamespace(stores=Stores(stores, multi=True))
    monkeypatch.setattr(service, "parts", lambda global_conf: parts)
    page = health_page.Stores(None, {})
    assert page.healthcheck(9292).available

    attendance = Attendance(stores, lambda store: False)
    for store in stores:
        attendance.look(store)
    result = page.healthcheck(9292)

    assert (result.available, result.reason) == (False, "store slow: not available")
    assert result.details == "store slow: its disk is gone"


def test_a_database_that_does_not_answer_is_told(monkeypatch):
    nobody = f"postgresql+psycopg2://user:secret@127.0.0.1:{daemon.free_port()}/images"
    parts = SimpleNamespace(database=engine.Database(nobody))
    monkeypatch.setattr(service, "parts", lambda global_conf: parts)

    result = health_page.Database(None, {}).healthcheck(9292)

    assert (result.available, result.reason) == (False, "the database: not available")


def test_a_file_takes_the_node_out_of_service(health, tmp_path):
    ask = health(SHALLOW)
    (tmp_path / "disabled").touch()

    assert ask().status == 503
    assert ask().body == b"DISABLED BY FILE"
