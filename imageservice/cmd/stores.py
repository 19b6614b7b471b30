"""``imageservice-manage stores``: making stores, and the care for what lies in them."""

import argparse

from oslo_config import cfg

from imageservice.cmd import auditing, moving
from imageservice.stores import configuration
from imageservice.wsgi import threads


def create(conf: cfg.ConfigOpts, _: argparse.Namespace) -> int:
    """Make what new stores need, such as data folders; once, before their first use."""
    for store in configuration.stores(conf, threads.Workers()).all:
        store.driver.create()
        store.driver.check()
        print(f"Store {store.id} ({store.kind}) is ready.")
    return 0


COMMANDS = {
    "create": create,
    "audit": auditing.audit,
    "copy": moving.copy,
    "drain": moving.drain,
}

ARGUMENTS = {
    "audit": auditing.describe,
    "copy": moving.describe_copy,
    "drain": moving.describe_drain,
}


# Any: argparse does not name the type of what add_subparsers returns.
def describe(names: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe these commands to the parser."""
    for name, function in COMMANDS.items():
        text = (function.__doc__ or "").partition("\n")[0]
        one = names.add_parser(name, help=text, description=function.__doc__)
        if name in ARGUMENTS:
            ARGUMENTS[name](one)
