"""Where the library for traces is missing, and when nobody asks for it."""

import logging
import sys

import pytest

from imageservice import errors
from imageservice.filters import tracing


def app(environ, start_response):
    raise AssertionError("not called")


def untraced(add):
    raise AssertionError("statements are not traced")


def test_a_missing_library_ends_the_start_and_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "osprofiler", None)

    with pytest.raises(errors.Misconfigured, match=r"imageservice\[profiler\]"):
        tracing.wrap(app, (), (), untraced)


def test_without_enabled_the_filter_is_not_there():
    assert tracing.wrap(app, (), (), untraced) is app


def test_the_connection_is_not_told_to_the_log(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "api.conf"
    file.write_text(
        "[profiler]\nenabled = true\nhmac_keys = x\n"
        "connection_string = floppy://user:secret@host\n"
    )

    with pytest.raises(errors.Misconfigured) as raised:
        tracing.wrap(app, [file], (), untraced)

    assert "secret" not in str(raised.value)
    assert "secret" not in caplog.text
