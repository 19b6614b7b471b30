"""The Keystone of a test run: who is in it, and how to get their tokens."""

import datetime
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from keystoneauth1 import adapter, session
from keystoneauth1.identity import v3

from tests.beside import Service
from tests.daemon import Options
from tests.identity import ADMIN_PASSWORD, REGION

SHIPPED = Path(__file__).parents[2] / "etc" / "api-paste.ini"
DOMAIN = "default"

#: The account with which the daemon checks tokens.
SERVICE_USER = "imageservice"


class Account(NamedTuple):
    """A user who has one role, and what Keystone says it implies, in one project."""

    project: str
    role: str


#: Unlike in tests/people.py roles imply others here, as ``keystone-manage bootstrap``
#: makes them: admin → manager → member → reader; ``visitor`` and ``service`` none.
ACCOUNTS: Mapping[str, Account] = {
    "owner": Account("owner", "member"),
    "reader": Account("owner", "reader"),
    "visitor": Account("owner", "visitor"),
    "manager": Account("owner", "manager"),
    "partner": Account("partner", "member"),
    "stranger": Account("stranger", "member"),
    "service": Account("service", "service"),
    "admin": Account("admin", "admin"),
    SERVICE_USER: Account("service", "service"),
}


class Keystone(Service):
    """Keystone on a loopback port, used as a context; ``url`` ends in ``/v3``.

    Users are those of ``ACCOUNTS``, and who is settled; ``password`` tells theirs. The endpoint of the
    service ``image`` leads nowhere until ``lead_to`` is told a daemon's address.
    """

    server = "tests.identity.server"
    path = "/v3"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url += self.path
        self.region = REGION
        self._ids: dict[tuple[str, str], str] = {}
        self._tokens: dict[str, str] = {}
        self._homes = {name: account.project for name, account in ACCOUNTS.items()}
        #: For limits: the id of the service ``image``, and of its endpoints by interface.
        self.image_service = ""
        self._admin: adapter.Adapter | None = None
        self._system: adapter.Adapter | None = None
        self.image_endpoints: dict[str, str] = {}

    # --- who is there ----------------------------------------------------------------

    def project(self, name: str) -> str:
        """The id of a project."""
        return self._ids["projects", name]

    def user(self, name: str) -> str:
        """The id of a user."""
        return self._ids["users", name]

    def role(self, name: str) -> str:
        """The id of a role."""
        return self._ids["roles", name]

    def home(self, name: str) -> str:
        """The project of a user, by name."""
        return self._homes[name]

    @staticmethod
    def password(name: str) -> str:
        return ADMIN_PASSWORD if name == "admin" else f"{name}-secret"

    # --- tokens ----------------------------------------------------------------------

    def token(self, name: str) -> str:
        """A token of a user for their project; the same one each time."""
        if name not in self._tokens:
            self._tokens[name] = self.new_token(name)
        return self._tokens[name]

    # object: what keystoneauth's plugins take.
    def new_token(self, name: str, **scope: object) -> str:
        """A token nobody else has.

        ``scope`` is what keystoneauth calls it: ``project_id``, ``domain_id``,
        ``system_scope="all"`` or ``unscoped=True``; the user's project if it is not told.
        """
        return self.token_of(self.auth(name, **scope))

    def auth(self, name: str, **scope: object) -> v3.Password:
        project = self._homes[name] if not scope else ""
        return v3.Password(
            self.url,
            username=name,
            password=self.password(name),
            user_domain_id=DOMAIN,
            **(scope or {"project_name": project, "project_domain_id": DOMAIN}),
        )

    @staticmethod
    def token_of(plugin: v3.base.BaseAuth) -> str:
        return str(session.Session(auth=plugin).get_token())

    def credential(self, name: str, **fields: object) -> tuple[str, str]:
        """Make an application credential of a user; return its id and secret."""
        own = self._adapter(session.Session(auth=self.auth(name)))
        wish = {"name": uuid.uuid4().hex, **fields}
        answer = own.post(
            f"/users/{self.user(name)}/application_credentials",
            json={"application_credential": wish},
        )
        made = answer.json()["application_credential"]
        return made["id"], made["secret"]

    def credential_token(self, name: str, **fields: object) -> str:
        """A token from an application credential, made for it with these ``fields``."""
        identity, secret = self.credential(name, **fields)
        return self.token_of(
            v3.ApplicationCredential(
                self.url,
                application_credential_id=identity,
                application_credential_secret=secret,
            )
        )

    def short_token(self, name: str, seconds: float) -> str:
        """A token that ends in so many seconds, because its credential does."""
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        return self.credential_token(
            name, expires_at=end.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        )

    def revoke(self, token: str) -> None:
        self.admin().delete("/auth/tokens", headers={"X-Subject-Token": token})

    # --- administration --------------------------------------------------------------

    def admin_session(self) -> session.Session:
        """A session of the cloud's administrator, of the project ``admin``."""
        return session.Session(auth=self.auth("admin"))

    def admin(self) -> adapter.Adapter:
        """Keystone's own API as its administrator: ``admin().get("/users")``."""
        if self._admin is None:
            self._admin = self._adapter(self.admin_session())
        return self._admin

    def system(self) -> adapter.Adapter:
        """The same with system scope, as limits and domains may ask for."""
        if self._system is None:
            whole = session.Session(auth=self.auth("admin", system_scope="all"))
            self._system = self._adapter(whole)
        return self._system

    def _adapter(self, scoped: session.Session) -> adapter.Adapter:
        return adapter.Adapter(scoped, endpoint_override=self.url)

    def make(self, kind: str, name: str, **fields: object) -> str:
        """Make one of ``users``, ``projects``, …; return its id."""
        singular = kind.removesuffix("s")
        wish = {"name": name, **fields}
        made = self.admin().post(f"/{kind}", json={singular: wish}).json()[singular]
        self._ids[kind, name] = made["id"]
        return str(made["id"])

    def lead_to(self, url: str) -> None:
        """Let the catalog's endpoints of the service ``image`` be ``url``."""
        for endpoint in self.image_endpoints.values():
            self.admin().patch(
                f"/endpoints/{endpoint}", json={"endpoint": {"url": url}}
            )

    def requests(self) -> list[str]:
        """What was asked of it since it was started, as ``GET /v3/auth/tokens``."""
        log = self.folder / "requests.log"
        return log.read_text(encoding="utf-8").splitlines()

    # --- our daemon ------------------------------------------------------------------

    def authtoken_options(self) -> dict[str, object]:
        """What an operator writes into ``[keystone_authtoken]``."""
        return {
            "www_authenticate_uri": self.url,
            "auth_url": self.url,
            "auth_type": "password",
            "username": SERVICE_USER,
            "password": self.password(SERVICE_USER),
            "project_name": "service",
            "user_domain_id": DOMAIN,
            "project_domain_id": DOMAIN,
            "region_name": self.region,
        }

    def options(self, options: Options | None = None) -> Options:
        """Add to options of a daemon the shipped pipeline, and this Keystone."""
        sections: dict[str, dict[str, object]] = {
            "paste_deploy": {"config_file": SHIPPED, "flavor": "keystone"},
            "keystone_authtoken": self.authtoken_options(),
        }
        for name, section in (options or {}).items():
            sections.setdefault(name, {}).update(section)
        return sections

    # --- start -----------------------------------------------------------------------

    def populate(self) -> None:
        admin = self.admin()
        for kind in ("roles", "users", "projects"):
            for item in admin.get(f"/{kind}").json()[kind]:
                self._ids[kind, item["name"]] = item["id"]
        self.make("roles", "visitor")
        for project in sorted({account.project for account in ACCOUNTS.values()}):
            if ("projects", project) not in self._ids:
                self.make("projects", project, domain_id=DOMAIN)
        for name, account in ACCOUNTS.items():
            if name != "admin":
                self.settle(name, account)
        # Who checks limits reads them with this role; the admin may do all in the domain.
        admin.put(
            f"/system/users/{self.user(SERVICE_USER)}/roles/{self.role('reader')}"
        )
        of_admin = f"users/{self.user('admin')}/roles/{self.role('admin')}"
        admin.put(f"/domains/{DOMAIN}/{of_admin}")
        self._register_image()

    def settle(self, name: str, account: Account) -> None:
        """Make a user, with a role in a project."""
        self._homes[name] = account.project
        user = self.make("users", name, password=self.password(name), domain_id=DOMAIN)
        self.admin().put(
            f"/projects/{self.project(account.project)}/users/{user}"
            f"/roles/{self.role(account.role)}"
        )

    def _register_image(self) -> None:
        service = self.make("services", "imageservice", type="image")
        self.image_service = service
        for interface in ("public", "internal"):
            wish = {
                "service_id": service,
                "interface": interface,
                "region_id": self.region,
                "url": "http://127.0.0.1:9",
            }
            made = self.admin().post("/endpoints", json={"endpoint": wish}).json()
            self.image_endpoints[interface] = made["endpoint"]["id"]
