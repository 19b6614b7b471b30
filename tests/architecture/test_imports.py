"""Arrows go down only: who may import whom (docs/architecture.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "imageservice"

VALUES = ("errors", "context", "domain")

#: What each part of the package may import of it, beside itself; longest name first.
ALLOWED: dict[str, tuple[str, ...]] = {
    "errors": (),
    "context": (),
    "domain": ("errors",),
    "notifications": ("errors",),
    "identity": ("errors", "api.answer", "api.faults"),
    "limits": ("errors", "domain", "configfile"),
    "outbound": ("errors", "stores.driver", "stores.patience"),
    "stores": ("errors", "outbound"),
    "data": (*VALUES, "stores.driver"),
    "policy": VALUES,
    "services.interfaces": (*VALUES, "stores.driver"),
    "db": (*VALUES, "services.interfaces"),
    "services": (*VALUES, "db"),
    "layers": (
        *VALUES, "services.interfaces", "policy", "data", "stores",
        "notifications.events", "limits.allowances",
    ),
    "api": (*VALUES, "services.interfaces", "data"),
    "filters": (*VALUES, "api", "stores.driver", "notifications.events"),
    "tasks": (*VALUES, "services", "db", "stores", "data"),
    "certificates": ("errors", "context", "identity.patience"),
    "care": (
        *VALUES, "services", "db", "data", "stores", "tasks", "layers.base",
    ),
    "stacks": (
        "layers", "services", "policy", "stores", "notifications.events",
        "limits.allowances",
    ),
    "foreign": (),
    "configfile": ("errors", "foreign"),
    "config": (
        "__version__", "errors", "configfile", "certificates", "limits", "api.settings",
        "data.inspect", "data.signature",
        "db.options", "notifications.events", "layers.registrar", "layers.properties", "layers.quota", "outbound.rules", "stores",
        "wsgi.options",
    ),
    "describe": ("layers", "policy", "services.interfaces"),
    "wsgi.options": ("errors",),
    "wsgi.__init__": ("service", "stores.driver", "wsgi"),
    "wsgi": ("errors", "stores.driver", "tasks"),
    "service": ("*",),
    "pipeline": ("*",),
    "health": ("errors", "service"),
    "cmd": ("*",),
}  # fmt: skip

#: Libraries that have one home each.
HOMES = {
    "webob": ("api",),
    "sqlalchemy": ("db",),
    "alembic": ("db",),
    "eventlet": ("wsgi.server",),
    "greenlet": ("wsgi",),
    "paste": ("service",),
    "keystonemiddleware": ("identity.authtoken", "filters.audit"),
    "osprofiler": ("filters.tracing",),
    "oslo_policy": ("policy", "config"),
    "oslo_limit": ("limits.registered",),
    "openstack": ("limits.registered",),
    "keystoneauth1": (
        "identity.authtoken",
        "limits.registered",
        "stores.swift",
        "certificates",
    ),
    "castellan": ("certificates",),
    "cryptography": ("data.signature", "data.verification"),
    "cursive": ("data.verification",),
    "swiftclient": ("stores.swift",),
    "oslo_messaging": ("notifications.messaging",),
    "boto3": ("stores.calls",),
    "botocore": ("stores.calls",),
    "urllib3": ("stores.calls", "stores.swift"),
    "rados": ("stores.rbd.bindings",),
    "rbd": ("stores.rbd.bindings",),
}

FILES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts)


def within(name: str, part: str) -> bool:
    return part == "*" or name == part or name.startswith(f"{part}.")


def part_of(name: str) -> str:
    """The entry of ALLOWED that a module belongs to."""
    found = [part for part in ALLOWED if within(name, part)]
    assert found, f"{name} is in no part of the architecture: add it to ALLOWED"
    return max(found, key=len)


def imported(path: Path) -> Iterator[str]:
    """The modules, and names of modules, that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_imports_only_what_is_below_it(path):
    if path == PACKAGE / "__init__.py":
        return
    part = part_of(name_of(path))
    allowed = (*ALLOWED[part], part)
    if part == "services":
        allowed += ("stores.driver",)

    for name in imported(path):
        if name.startswith("imageservice."):
            ours = name.removeprefix("imageservice.")
            assert any(within(ours, other) for other in allowed), (
                f"{part} imports {ours}"
            )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_library_is_imported_only_at_its_home(path):
    for name in imported(path):
        homes = HOMES.get(name.split(".")[0])
        if homes is not None:
            assert any(within(name_of(path), home) for home in homes), name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nobody_uses_a_global_configuration(path):
    if name_of(path) in ("limits.registered", "cmd.policytools"):
        return  # oslo.limit and oslo.policy's commands know no other
    for node in ast.walk(ast.parse(path.read_text())):
        named = isinstance(node, ast.Attribute) and node.attr == "CONF"
        assert not named, f"{path}:{node.lineno}"
    assert "oslo_config.cfg.CONF" not in set(imported(path))


def test_every_part_of_the_architecture_is_there():
    names = [name_of(path) for path in FILES]

    for part in ALLOWED:
        assert any(within(name, part) for name in names), f"{part} has gone"
