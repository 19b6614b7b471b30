"""What the options of events build."""

import importlib
import sys

import pytest

from imageservice import config, errors
from imageservice.notifications import drivers

SECTION = "[oslo_messaging_notifications]"


@pytest.fixture
def build(tmp_path):
    """Build what a configuration file with these lines asks for."""

    def made(*lines):
        path = tmp_path / "imageservice-api.conf"
        path.write_text("\n".join([SECTION, *lines, ""]))
        conf = config.load(files=[path])
        return drivers.build(conf, config.files(conf))

    return made


@pytest.mark.parametrize("lines", [[], ["driver = noop"], ["driver = test"]])
def test_without_a_driver_nobody_listens_and_nothing_runs(build, lines):
    built = build(*lines)

    assert not built.events.wants("image.create")
    assert list(built.jobs) == []


def test_several_drivers_get_every_event(build, caplog):
    caplog.set_level("INFO")
    built = build("driver = log", "driver = messagingv2", "driver = noop")

    built.events.emit("image.create", {"id": "i1"})

    assert "image.create from image.localhost: id=i1" in caplog.text
    [send, _] = built.jobs
    assert send.__self__.waiting == 1


def test_disabled_events_reach_no_driver(build):
    built = build(
        "driver = log", "[DEFAULT]", "disabled_notifications = image.member,image.send"
    )

    assert not built.events.wants("image.member.create")
    assert not built.events.wants("image.send")
    assert built.events.wants("image.create")


def test_a_driver_that_is_not_there_ends_the_start(build):
    with pytest.raises(errors.Misconfigured, match="'routing' is not supported"):
        build("driver = routing")


def test_a_missing_library_ends_the_start_with_the_name_of_the_extra(
    build, monkeypatch
):
    monkeypatch.setitem(sys.modules, "oslo_messaging", None)

    with pytest.raises(errors.Misconfigured, match=r"imageservice\[notifications\]"):
        build("driver = messagingv2")


def test_the_library_is_not_loaded_without_need(build, monkeypatch):
    monkeypatch.setitem(sys.modules, "oslo_messaging", None)

    build("driver = log", "transport_url = rabbit://u:p@h/")


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("rabbit://me:s3cret@h:port/", id="port"),
        pytest.param("rabbitt://me:s3cret@h/", id="transport"),
        pytest.param("me:s3cret@h", id="no-scheme"),
    ],
)
@pytest.mark.parametrize("section", [SECTION, "[DEFAULT]"])
def test_a_broken_url_ends_the_start_and_is_not_repeated(build, caplog, section, url):
    caplog.set_level("DEBUG")

    with pytest.raises(errors.Misconfigured, match="transport_url") as raised:
        build("driver = messagingv2", section, f"transport_url = {url}")

    assert "cret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert "cret" not in caplog.text


def test_the_exchange_is_the_published_one_unless_another_is_named(build):
    library = importlib.import_module("oslo_messaging")
    for lines, expected in ([], "glance"), (["control_exchange = x"], "x"):
        [send, _] = build("driver = messagingv2", "[DEFAULT]", *lines).jobs
        transport = send.__self__._post._transport
        assert isinstance(transport, library.notify.notifier.msg_transport.Transport)
        assert transport.conf.control_exchange == expected
