"""The sample files are what the generators write today.

Only our own part of the configuration sample is compared: the libraries' options change
with their releases.
"""

import io
import re
from pathlib import Path

import pytest
from oslo_config import cfg, generator
from oslo_policy import generator as policy_generator

ETC = Path(__file__).parents[2] / "etc"


def test_the_configuration_sample_is_fresh():
    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(["--namespace", "imageservice", "--wrap-width", "88"])
    fresh = io.StringIO()
    generator.generate(conf, fresh)
    sample = _parts((ETC / "imageservice-api.conf.sample").read_text())

    for place, text in _parts(fresh.getvalue()).items():
        assert sample.get(place) == text, f"{place} is stale: run tox -e genconfig"


def _parts(sample: str) -> dict[tuple[str, str], str]:
    """Cut a sample into what each namespace has to say in each section."""
    parts: dict[tuple[str, str], str] = {}
    place = ("", "")
    for line in sample.splitlines():
        if found := re.fullmatch(r"\[(.+)\]", line):
            place = (found[1], "")
        elif found := re.fullmatch(r"# From (.+)", line):
            place = (place[0], found[1])
        elif line not in ("#", ""):
            parts[place] = parts.get(place, "") + line + "\n"
    return {place: text for place, text in parts.items() if place[1] == "imageservice"}


def test_the_policy_sample_is_fresh(tmp_path, monkeypatch):
    written = tmp_path / "policy.yaml.sample"

    policy_generator.generate_sample(
        ["--namespace", "imageservice", "--output-file", str(written)],
        conf=cfg.ConfigOpts(),
    )

    sample = (ETC / "policy.yaml.sample").read_text()
    assert sample == written.read_text(), "run tox -e genpolicy"


@pytest.mark.parametrize("name", ["imageservice-api.conf", "policy.yaml"])
def test_the_samples_change_nothing_as_they_are(name):
    lines = (ETC / f"{name}.sample").read_text().splitlines()

    assert [ln for ln in lines if ln and not ln.startswith(("#", "["))] == []
