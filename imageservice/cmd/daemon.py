"""The daemon, from the command line to its last worker; started by ``cmd/api.py``."""

import functools
import ipaddress
import logging
import os
import sys
from collections.abc import Sequence

from oslo_config import cfg

from imageservice import config, errors, service
from imageservice.stores.driver import Workers
from imageservice.wsgi.options import Settings
from imageservice.wsgi.supervisor import Supervisor
from imageservice.wsgi.worker import Built

LOG = logging.getLogger(__name__)


def run(args: Sequence[str]) -> int:
    """Run until told to end; what stops the start is said in one line."""
    try:
        conf = config.load(args=args)
        config.setup_logging(conf, forks=True)
        settings = settings_of(conf)
        if config.is_development(conf):
            LOG.warning(
                "no configuration file: development mode, every caller is an admin; "
                "data in %s",
                os.path.abspath(conf.data_dir),
            )
        return Supervisor(settings, functools.partial(_build, args)).run()
    except errors.Error as error:
        print(f"imageservice-api: {error}", file=sys.stderr)
        return 1


def _build(args: Sequence[str], workers: Workers) -> Built:
    """Build the application in a worker, from the configuration of now."""
    conf = config.load(args=args)
    config.setup_logging(conf)
    return Built(service.application(conf, workers), settings_of(conf))


def settings_of(conf: cfg.ConfigOpts) -> Settings:
    """Read the server's options.

    Raises Misconfigured when development mode would be reachable from other machines.
    """
    on_sqlite = config.database_url(conf).startswith("sqlite")
    settings = Settings.configured(conf, workers=1 if on_sqlite else _cores())
    is_private = settings.bind_socket or _is_loopback(settings.bind_host)
    if config.is_development(conf) and not is_private:
        reason = (
            f"bind_host {settings.bind_host}: without a configuration file every caller "
            "is an admin, so only a loopback address is listened on. Use 127.0.0.1, or "
            "write a configuration file"
        )
        raise errors.Misconfigured(reason=reason)
    return settings


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _cores() -> int:
    return len(os.sched_getaffinity(0))
