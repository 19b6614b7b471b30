"""Looks at configuration files as they are written: which option stands on which line.

oslo.config ignores what it does not know. A slip of the pen in an option's name would
leave its default in force without a word; here it ends the start, with a hint.
"""

import difflib
import logging
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from oslo_config import cfg, iniparser

from imageservice import errors, foreign

LOG = logging.getLogger(__name__)


class Entry(NamedTuple):
    """One line ``option = value`` of a file."""

    path: Path
    line: int
    section: str
    option: str
    value: str

    @property
    def place(self) -> str:
        return f"{self.path}, line {self.line}, [{self.section}] {self.option}"


#: The names that may stand in each section; a section that is not there is not ours.
Known = Mapping[str, Collection[str]]


class _Parser(iniparser.BaseParser):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._section = "DEFAULT"
        self._begun: deque[int] = deque()
        self.entries: list[Entry] = []

    def new_section(self, section: str) -> None:
        self._section = section

    def assignment(self, key: str, value: list[str]) -> None:
        text = "\n".join(value)
        line = self._begun.popleft()
        self.entries.append(Entry(self._path, line, self._section, key, text))

    def read(self, lines: Iterable[str]) -> None:
        self.parse(self._noted(lines))

    def _noted(self, lines: Iterable[str]) -> Iterator[str]:
        """Note where assignments begin: they are reported only when they have ended."""
        for number, line in enumerate(lines, 1):
            if line.strip() and line[0] not in " \t[#;":
                self._begun.append(number)
            yield line


def entries(path: Path) -> list[Entry]:
    """Read a file that oslo.config has read without complaint."""
    parser = _Parser(path)
    with path.open(encoding="utf-8") as file:
        parser.read(file)
    return parser.entries


def names(options: Iterable[cfg.Opt]) -> set[str]:
    """Every way in which options may be written in a file."""
    found = set()
    for option in options:
        old = {d.name for d in option.deprecated_opts if d.name}
        found |= {option.name, option.dest} | old
    return found | {name.replace("-", "_") for name in found}


def check(written: Iterable[Entry], known: Known) -> None:
    """Raise Misconfigured for the first line that means nothing; log what has no effect."""
    for entry in written:
        section, option = entry.section, entry.option.replace("-", "_")
        if (section, option) in foreign.REFUSED:
            _refuse(entry, *foreign.REFUSED[section, option])
        elif section in foreign.SECTIONS or (section, option) in foreign.WITHOUT_EFFECT:
            LOG.warning("%s: has no effect here", entry.place)
        elif section in known:
            check_section([entry], known[section])
        elif section not in foreign.LIBRARIES:
            _unknown_section(entry, {*known, *foreign.LIBRARIES, *foreign.SECTIONS})


def check_section(written: Iterable[Entry], known: Collection[str]) -> None:
    """Raise Misconfigured for the first line whose option is not one of ``known``."""
    for entry in written:
        if entry.option not in known:
            raise errors.Misconfigured(reason=_unknown(entry, known))


def _refuse(entry: Entry, harmless: frozenset[str], why: str) -> None:
    if entry.value.strip().lower() not in harmless:
        raise errors.Misconfigured(reason=f"{entry.place}: {why}. Remove the option.")


def _unknown(entry: Entry, known: Collection[str]) -> str:
    hint = _nearest(entry.option, known)
    meant = f" Did you mean {hint}?" if hint else ""
    return f"{entry.place}: there is no such option.{meant} Correct or remove it."


def _unknown_section(entry: Entry, known: Collection[str]) -> None:
    hint = _nearest(entry.section, known)
    if hint is not None:
        raise errors.Misconfigured(
            reason=f"{entry.place}: there is no such section. Did you mean [{hint}]?"
            " Correct or remove it."
        )
    # It may be that of a filter of the operator's own.
    LOG.warning("%s: nothing here reads this section", entry.place)


def _nearest(name: str, known: Collection[str]) -> str | None:
    found = difflib.get_close_matches(name, sorted(known), 1, cutoff=0.75)
    return found[0] if found else None
