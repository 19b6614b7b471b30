"""The server's options and the values made of them."""

import dataclasses

import pytest
from oslo_config import cfg

from imageservice.wsgi.options import OPTS, Settings


def configured(*arguments, **values):
    conf = cfg.ConfigOpts()
    conf.register_opts(OPTS)
    conf(list(arguments), default_config_files=[])
    for name, value in values.items():
        conf.set_override(name, value)
    return Settings.configured(conf, workers=7)


def test_every_option_is_a_setting():
    assert {o.dest for o in OPTS} == {f.name for f in dataclasses.fields(Settings)}


def test_the_published_defaults_are_kept():
    settings = configured()

    assert settings.bind_host == "0.0.0.0"
    assert settings.bind_port == 9292
    assert settings.backlog == 4096
    assert settings.client_socket_timeout == 900
    assert settings.max_header_line == 16384
    assert settings.http_keepalive is True


def test_workers_are_decided_elsewhere_unless_set():
    assert configured().workers == 7
    assert configured(workers=3).workers == 3


@pytest.mark.parametrize("option", OPTS, ids=lambda option: option.dest)
def test_every_option_says_how_to_choose(option):
    assert len(option.help) > 50
