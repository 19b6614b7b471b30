"""Unified limits in the Keystone of a test run."""

from tests.identity.keystone import DOMAIN, SERVICE_USER, Keystone

#: What is registered until a test says otherwise: all four, without a limit.
NAMES = (
    "image_size_total",
    "image_stage_total",
    "image_count_total",
    "image_count_uploading",
)


class Limits:
    """Sets limits of the service ``image``; used as a context it removes them again."""

    def __init__(self, keystone: Keystone) -> None:
        self._keystone = keystone
        self._api = keystone.system()
        self._of_all: dict[str, str] = {}
        self._of_projects: dict[tuple[str, str], str] = {}

    def __enter__(self) -> "Limits":
        # In one request: many tests begin with it.
        wishes = [self._wish(name) | {"default_limit": -1} for name in NAMES]
        answer = self._api.post(
            "/registered_limits", json={"registered_limits": wishes}
        )
        for made in answer.json()["registered_limits"]:
            self._of_all[made["resource_name"]] = made["id"]
        return self

    def __exit__(self, *exception: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove every limit of the service, whoever has made it."""
        of_ours = {"service_id": self._keystone.image_service}
        for kind in ("limits", "registered_limits"):
            for limit in self._api.get(f"/{kind}", params=of_ours).json()[kind]:
                self._api.delete(f"/{kind}/{limit['id']}")
        self._of_all.clear()
        self._of_projects.clear()

    def set(self, name: str, limit: int, project_id: str | None = None) -> None:
        """Register a limit for all projects, or set the one of a project above it."""
        if project_id is None:
            self._register(name, limit)
        else:
            self._override(name, limit, project_id)

    def unregister(self, name: str) -> None:
        self._api.delete(f"/registered_limits/{self._of_all.pop(name)}")

    def options(self, **oslo_limit: object) -> dict[str, dict[str, object]]:
        """What an operator writes into the files to have these limits held."""
        return {
            "DEFAULT": {
                "use_keystone_limits": True,
                "keystone_limits_cache_time": 0,
            },
            "oslo_limit": {
                "auth_type": "password",
                "auth_url": self._keystone.url,
                "username": SERVICE_USER,
                "password": self._keystone.password(SERVICE_USER),
                "user_domain_id": DOMAIN,
                "system_scope": "all",
                "endpoint_id": self._keystone.image_endpoints["public"],
                **oslo_limit,
            },
        }

    def _register(self, name: str, limit: int) -> None:
        if name in self._of_all:
            changed = {"registered_limit": {"default_limit": limit}}
            self._api.patch(f"/registered_limits/{self._of_all[name]}", json=changed)
            return
        wish = self._wish(name) | {"default_limit": limit}
        answer = self._api.post(
            "/registered_limits", json={"registered_limits": [wish]}
        )
        self._of_all[name] = answer.json()["registered_limits"][0]["id"]

    def _override(self, name: str, limit: int, project_id: str) -> None:
        if (name, project_id) in self._of_projects:
            changed = {"limit": {"resource_limit": limit}}
            known = self._of_projects[name, project_id]
            self._api.patch(f"/limits/{known}", json=changed)
            return
        wish = self._wish(name) | {"resource_limit": limit, "project_id": project_id}
        answer = self._api.post("/limits", json={"limits": [wish]})
        self._of_projects[name, project_id] = answer.json()["limits"][0]["id"]

    def _wish(self, name: str) -> dict[str, object]:
        return {
            "service_id": self._keystone.image_service,
            "region_id": self._keystone.region,
            "resource_name": name,
        }
