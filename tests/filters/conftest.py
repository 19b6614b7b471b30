"""``serve``: a service with a pipeline of the test's own, under either server."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests import databases
from tests.filters import pipelines
from tests.filters.pipelines import Sections
from tests.http import servers


class Serve(Protocol):
    def __call__(
        self,
        before: dict[str, str] | None = None,
        *,
        without: tuple[str, ...] = ("authtoken",),
        paste: Sections | None = None,
        options: Sections | None = None,
    ) -> str:
        """Start a service and return its URL; see ``pipelines.write``.

        ``options`` are sections of its configuration; its log is ``daemon.log``.
        """
        ...


KINDS = ("threaded", "daemon")


@pytest.fixture(params=KINDS)
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serve]:
    with serving(request.param, tmp_path) as serve:
        yield serve


@contextlib.contextmanager
def serving(kind: str, folder: Path) -> Iterator[Serve]:
    """Provide the function that starts one service, of a kind, in this folder."""
    start = servers.as_daemon if kind == "daemon" else servers.in_threads
    with contextlib.ExitStack() as running:

        def serve(
            before: dict[str, str] | None = None,
            *,
            without: tuple[str, ...] = ("authtoken",),
            paste: Sections | None = None,
            options: Sections | None = None,
        ) -> str:
            images = folder / "images"
            images.mkdir()
            file = pipelines.write(
                folder / "own-paste.ini",
                before=before,
                without=without,
                sections=paste,
            )
            sections: dict[str, dict[str, object]] = {
                "DEFAULT": {"enabled_backends": "main:file"},
                "glance_store": {"default_backend": "main"},
                "main": {"filesystem_store_datadir": images},
                "paste_deploy": {"config_file": file},
            }
            for name, section in (options or {}).items():
                sections.setdefault(name, {}).update(section)
            url = running.enter_context(databases.ready("sqlite", folder))
            sections["database"] = {"connection": url}
            return running.enter_context(start(folder, sections))

        yield serve
