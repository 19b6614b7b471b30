"""Three file stores and a database, and what an operator does there."""

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from imageservice import config, service
from imageservice.care.audit import Audit, Choice, Progress
from imageservice.care.findings import Finding
from imageservice.care.pace import Pace
from imageservice.care.tools import Tools
from imageservice.cmd import manage
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.image import Image
from imageservice.stores.folders import MARK
from imageservice.wsgi import threads
from tests.daemon import command
from tests.db.factories import an_image


class Answer(NamedTuple):
    """What a command said: its exit code and the lines of JSON, by their type."""

    code: int
    lines: list[dict[str, Any]]

    def of(self, what: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == what]

    @property
    def findings(self) -> list[tuple[str, str, str, str]]:
        return sorted(
            (line["store"], line["kind"], line["image_id"], line["outcome"])
            for line in self.of("finding")
        )


Backend = tuple[str, Mapping[str, object]]  # the kind of a store, and its options


class Place:
    """Stores ``near``, ``far`` and ``spare``: folders below ``root``.

    The last two may be others.
    """

    def __init__(
        self,
        root: Path,
        database_url: str,
        far: Backend | None = None,
        spare: Backend | None = None,
    ) -> None:
        self.root = root
        self.conf = root / "api.conf"
        backends = {"near": None, "far": far, "spare": spare}
        kinds, sections = [], {}
        for name, backend in backends.items():
            folder = {"filesystem_store_datadir": f"{root}/{name}"}
            kind, sections[name] = backend or ("file", folder)
            kinds.append(f"{name}:{kind}")
        sections["DEFAULT"] = {"enabled_backends": ", ".join(kinds)}
        sections["glance_store"] = {"default_backend": "near"}
        sections["database"] = {"connection": database_url}
        self.conf.write_text(
            "".join(
                f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in values.items())
                for name, values in sections.items()
            )
        )
        assert manage.main(self.words("create")) == 0

    def words(self, *words: str) -> list[str]:
        """The arguments of ``imageservice-manage stores`` with these words."""
        return ["--config-file", str(self.conf), "stores", *words]

    def command(self, *words: str) -> list[str]:
        """The same, to be run in a process of its own."""
        return [command("imageservice-manage"), *self.words(*words)]

    @contextlib.contextmanager
    def tools(self) -> Iterator[Tools]:
        conf = config.load([str(self.conf)], [], [], "test")
        with service.tools(conf, threads.Workers(), lambda count: None) as tools:
            yield tools

    def upload(self, *stores: str, data: bytes = b"data", **changes: Any) -> str:
        """An image with copies in these stores; returns its id."""
        with self.tools() as tools:
            image = tools.images.create(tools.context, an_image(**changes), UNLIMITED)
            tools.images.upload(
                tools.context, image, io.BytesIO(data), len(data), stores[0], UNLIMITED
            )
            for store in stores[1:]:
                image = self._found(tools, image.id)
                tools.images.copy(tools.context, image, store, UNLIMITED)
        return image.id

    def _found(self, tools: Tools, image_id: str) -> Image:
        return tools.images.find(tools.context, image_id)

    def stores_of(self, image_id: str) -> list[str]:
        with self.tools() as tools:
            return sorted(at.store for at in self._found(tools, image_id).locations)

    def file(self, store: str, name: str) -> Path:
        return self.root / store / name

    def held(self, store: str) -> list[str]:
        return sorted(n for n in os.listdir(self.root / store) if n != MARK)

    def manage(self, *words: str) -> Answer:
        """Run ``imageservice-manage stores`` with these words."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = manage.main(self.words(*words, "--json"))
        return Answer(code, [json.loads(line) for line in out.getvalue().splitlines()])

    def audit(self, *words: str) -> Answer:
        """Without an age guard, so that a test need not wait."""
        return self.manage("audit", "--min-age", "0", *words)


def findings(
    tools: Tools, store: str, progress: Progress = lambda doing, count: None
) -> Iterator[Finding]:
    """What an audit of a store finds, without an age guard; step by step."""
    choice = Choice(min_age_s=0, force=True)
    audited = tools.stores.get(store)
    pair = (tools.inventory, tools.workers)
    return Audit(audited, *pair, choice, Pace(), progress).findings()
