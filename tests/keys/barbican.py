"""The Barbican of a test run, which asks the Keystone of the same run."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.beside import Service
from tests.identity.keystone import Keystone

CONFIGURATION = """
[DEFAULT]
host_href = {url}
db_auto_create = true
log_file = {folder}/barbican.log
use_stderr = false

[database]
connection = sqlite:///{folder}/barbican.sqlite

[simple_crypto_plugin]
kek = {secret}

[keystone_authtoken]
{account}
"""

PIPELINE = """
[composite:main]
use = egg:Paste#urlmap
/ = versions
/v1 = secrets

[pipeline:versions]
pipeline = microversion versionapp

[pipeline:secrets]
pipeline = authtoken context microversion apiapp

[app:apiapp]
paste.app_factory = barbican.api.app:create_main_app

[app:versionapp]
paste.app_factory = barbican.api.app:create_version_app

[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory

[filter:context]
paste.filter_factory = barbican.api.middleware.context:ContextMiddleware.factory

[filter:microversion]
paste.filter_factory = barbican.api.middleware.microversion:MicroversionMiddleware.factory
"""


class Barbican(Service):
    """Barbican on a loopback port, used as a context, and in Keystone's catalog."""

    server = "tests.keys.server"

    def __init__(self, folder: Path, keystone: Keystone) -> None:
        super().__init__(folder)
        self.keystone = keystone

    def prepare(self) -> None:
        account = self.keystone.authtoken_options().items()
        written = CONFIGURATION.format(
            folder=self.folder,
            url=self.url,
            secret=base64.urlsafe_b64encode(os.urandom(32)).decode(),
            account="\n".join(f"{name} = {value}" for name, value in account),
        )
        configuration = self.folder / ".barbican" / "barbican.conf"
        configuration.parent.mkdir()
        configuration.write_text(written, encoding="utf-8")
        (self.folder / "barbican-paste.ini").write_text(PIPELINE, encoding="utf-8")

    def store(self, who: str, payload: bytes, kind: str = "certificate") -> str:
        """Keep a secret of a user's project; return its id."""
        wish = {
            "name": "a secret",
            "secret_type": kind,
            "payload": base64.b64encode(payload).decode(),
            "payload_content_type": "application/octet-stream",
            "payload_content_encoding": "base64",
        }
        answer = httpx.post(
            f"{self.url}/v1/secrets",
            json=wish,
            headers={"X-Auth-Token": self.keystone.token(who)},
            timeout=60,
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["secret_ref"]).rsplit("/", 1)[-1]

    def options(self, **barbican: object) -> Mapping[str, Mapping[str, object]]:
        """What an operator writes for it into the configuration of ours."""
        given = {"auth_endpoint": self.keystone.url, **barbican}
        return {"barbican": given}

    def populate(self) -> None:
        """Put it into the catalog."""
        keystone = self.keystone
        service = keystone.make("services", "barbican", type="key-manager")
        endpoint = {
            "service_id": service,
            "interface": "public",
            "region_id": keystone.region,
            "url": self.url,
        }
        keystone.admin().post("/endpoints", json={"endpoint": endpoint})
