"""``imageservice-manage``: what an operator does by hand.

Database commands and exit codes: contract operations.md §5.2, as far as they make sense for a
schema that migrates in one phase: ``db check`` is 0 when the database is current and 3
when an upgrade is due.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from oslo_config import cfg

from imageservice import config, describe, errors
from imageservice.cmd import relocation, stores, usage
from imageservice.db import options as db_options
from imageservice.db import schema
from imageservice.db.engine import Database
from imageservice.db.options import Options
from imageservice.stores import configuration
from imageservice.wsgi import threads

PROGRAM = "imageservice-manage"
DESCRIPTION = (
    "Look after the database, stores and usage of the image service. The configuration"
    " is found as the daemon finds it, unless it is named."
)
UPGRADE_DUE = 3
CLEAR = "\r\x1b[K"  # the line, from its beginning
INTERRUPTED = 130

#: Spellings that deployment tools have used for years: db_sync is "db sync".
LEGACY = {"db_sync", "db_version", "db_check", "db_upgrade"}


def sync(database: Database, version: str) -> int:
    """Bring the database to the schema of this release."""
    if schema.sync(database, version):
        print(f"Database migrated to revision {schema.version(database)}.")
    else:
        print("Database is up to date. No migration needed.")
    return 0


def show_version(database: Database, version: str) -> int:
    """Print the revision of the database."""
    print(schema.version(database) or "none")
    return 0


def check(database: Database, version: str) -> int:
    """Say whether an upgrade is due; exit 0 if not, 3 if so."""
    if schema.check(database):
        print("Database is up to date. No upgrade needed.")
        return 0
    found = schema.version(database) or "none"
    print(
        f"Database is at revision {found}, this release needs {schema.head()}."
        " Run 'imageservice-manage db sync'."
    )
    return UPGRADE_DUE


DB_COMMANDS: dict[str, Callable[[Database, str], int]] = {
    "sync": sync,
    "upgrade": sync,
    "version": show_version,
    "check": check,
}


def show_operations() -> int:
    """Print every operation with the rings that it passes."""
    print(describe.operations(), end="")
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    root = argparse.ArgumentParser(prog=PROGRAM, description=DESCRIPTION)
    root.add_argument("--config-file", action="append", default=[], metavar="FILE")
    root.add_argument("--config-dir", action="append", default=[], metavar="FOLDER")
    root.add_argument("--data-dir", metavar="FOLDER")
    groups = root.add_subparsers(dest="group", required=True)
    groups.add_parser("operations", help=show_operations.__doc__)
    backends = groups.add_parser("stores", help="the storage back ends")
    names = backends.add_subparsers(dest="command", required=True)
    stores.describe(names)
    moving = names.add_parser("relocate", help=relocation.run.__doc__)
    moving.add_argument(
        "--dry-run", action="store_true", help="only say what would be rewritten"
    )
    moving.add_argument(
        "--renamed",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="the ids that a store had and has; for what cannot be told by a location: "
        "what unfinished transfers left, and locations that several stores know",
    )
    moving.add_argument("--json", action="store_true", help="as JSON")
    using = groups.add_parser("usage", help=usage.run.__doc__)
    using.add_argument("--project", metavar="ID", help="only this one")
    using.add_argument(
        "--recount",
        action="store_true",
        help="count again before, and mend what is wrong; the service may be running",
    )
    using.add_argument("--json", action="store_true", help="as JSON; sizes in bytes")
    commands = groups.add_parser("db", help="the database's schema")
    names = commands.add_subparsers(dest="command", required=True)
    for name, function in DB_COMMANDS.items():
        one = names.add_parser(name, help=function.__doc__)
        one.add_argument("--version", default="head", help="revision to go to")
        one.add_argument("revision", nargs="?", help=argparse.SUPPRESS)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 failed, 2 not understood."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(_modern(words))
    if options.group == "operations":
        return show_operations()
    # On a terminal a line of progress may stand where a warning begins.
    clear = CLEAR if sys.stderr.isatty() else ""
    logging.basicConfig(level=logging.WARNING, format=f"{clear}%(message)s")
    try:
        conf = config.load(
            options.config_file,
            options.config_dir,
            ["--data-dir", options.data_dir] if options.data_dir else [],
            PROGRAM,
        )
        if options.group == "stores" and options.command in stores.COMMANDS:
            return stores.COMMANDS[options.command](conf, options)
        return _db(conf, options)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads the output has seen enough, as ``head`` has. Python would stumble
        # over the same once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except errors.Error as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1


def _db(conf: cfg.ConfigOpts, options: argparse.Namespace) -> int:
    url = config.database_url(conf)
    database = Database(url, Options.of(conf[db_options.GROUP]))
    try:
        if options.group == "stores":
            schema.require_current(database)
            configured = configuration.stores(conf, threads.Workers())
            ids = relocation.renamed(options.renamed, configured)
            return relocation.run(
                database,
                configured,
                ids,
                dry_run=options.dry_run,
                as_json=options.json,
            )
        if options.group == "usage":
            schema.require_current(database)
            return usage.run(
                database,
                options.project,
                recount=options.recount,
                as_json=options.json,
            )
        revision = options.revision or options.version
        return DB_COMMANDS[options.command](database, revision)
    finally:
        database.close()


def _modern(words: list[str]) -> list[str]:
    """Spell ``db_sync`` as ``db sync``, wherever it stands among the options."""
    for position, word in enumerate(words):
        if word in LEGACY:
            return [
                *words[:position],
                "db",
                word.removeprefix("db_"),
                *words[position + 1 :],
            ]
    return words


if __name__ == "__main__":
    sys.exit(main())
