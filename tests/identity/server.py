"""A Keystone in a process of its own: ``python -m tests.identity.server FOLDER PORT``.

Does in one process, and so in seconds, what ``keystone-manage db_sync``, ``fernet_setup``,
``credential_setup`` and ``bootstrap`` do in four, then serves on 127.0.0.1. Every request
is a line ``METHOD PATH`` in ``requests.log``.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cheroot import wsgi
from keystone import server
from keystone.cmd import bootstrap
from keystone.common import fernet_utils
from keystone.common.sql import upgrades
from keystone.server.flask import application, core
from oslo_config import cfg

from tests.identity import ADMIN_PASSWORD, REGION

KEYS = ("fernet_tokens", "fernet_receipts", "credential")

# Four rounds of bcrypt instead of 4096: passwords of tests need no protection.
CONFIGURATION = """
[DEFAULT]
log_file = {folder}/keystone.log
use_stderr = false

[database]
connection = sqlite:///{folder}/keystone.sqlite
sqlite_synchronous = false

[identity]
password_hash_rounds = 4

[fernet_tokens]
key_repository = {folder}/fernet_tokens

[fernet_receipts]
key_repository = {folder}/fernet_receipts

[credential]
key_repository = {folder}/credential
"""


def main(folder: Path, port: int) -> None:
    path = folder / "keystone.conf"
    path.write_text(CONFIGURATION.format(folder=folder), encoding="utf-8")
    del sys.argv[1:]  # Keystone would take them for its own.
    server.configure(config_files=[str(path)])
    upgrades.offline_sync_database_to_version()
    for name in KEYS:
        make_keys(folder / name, name)
    bootstrapped(f"http://127.0.0.1:{port}/v3")
    keystone = core.setup_app_middleware(application.application_factory("public"))
    with (folder / "requests.log").open("a", buffering=1) as log:
        serving = wsgi.Server(("127.0.0.1", port), noted(keystone, log.write), 8)
        serving.prepare()
        serving.serve()


def make_keys(folder: Path, name: str) -> None:
    active = cfg.CONF[name].max_active_keys if name != "credential" else 3
    keys = fernet_utils.FernetUtils(str(folder), active, name)
    keys.create_key_directory()
    keys.initialize_key_repository()


def bootstrapped(url: str) -> None:
    """Make the first domain, project, administrator, roles and the region."""
    first = bootstrap.Bootstrapper()
    first.admin_username = first.project_name = first.admin_role_name = "admin"
    first.admin_password = ADMIN_PASSWORD
    first.service_name = "keystone"
    first.public_url = first.internal_url = first.admin_url = url
    first.region_id = REGION
    first.immutable_roles = True
    first.bootstrap()


# Any: the types of Keystone's application are its own.
def noted(app: Any, write: Callable[[str], object]) -> Any:
    def note(environ: Any, start_response: Any) -> Any:
        write(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}\n")
        return app(environ, start_response)

    return note


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
