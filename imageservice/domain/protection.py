"""Which custom properties are protected, and from whom; and the file that says so.

Source: contract images.md §18.5, operations.md §1.4.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, get_args

from imageservice import errors
from imageservice.domain.image import RESERVED_PREFIX

LOG = logging.getLogger(__name__)

Right = Literal["create", "read", "update", "delete"]
RIGHTS: tuple[Right, ...] = get_args(Right)

Format = Literal["roles", "policies"]

EVERYBODY, NOBODY = "@", "!"

LONGEST_NAME = 255
"""No image has a property with a longer name; none is tried on an expression."""

_REMEMBERED = 10_000


class Holders(NamedTuple):
    """Who has a right: everybody, who has one of ``roles``, or who passes ``policy``."""

    everybody: bool = False
    roles: frozenset[str] = frozenset()  # lower-cased
    policy: str | None = None


class Section(NamedTuple):
    """The holders of the four rights on the properties that ``names`` finds."""

    names: re.Pattern[str]
    holders: Mapping[Right, Holders]


# What the service notes down itself must get through. By the beginning of a name only:
# users could name a property so that the expression of their operator no longer counts.
_OWN = Section(
    re.compile(f"^{RESERVED_PREFIX}"), dict.fromkeys(RIGHTS, Holders(everybody=True))
)
_UNNAMED = Section(re.compile(""), dict.fromkeys(RIGHTS, Holders()))


class Protection:
    """The sections of a file in their order; the first that finds a name counts.

    ``policies`` are the names of rules that sections ask for, and where.
    """

    def __init__(
        self, sections: tuple[Section, ...], policies: Mapping[str, str] | None = None
    ) -> None:
        self._sections = (_OWN, *sections)
        self._remembered: dict[str, Section] = {}
        self.policies = policies or {}

    def holders(self, right: Right, name: str) -> Holders:
        """Who has a right on a property; nobody where no section finds its name."""
        section = self._remembered.get(name)
        if section is None:
            section = self._find(name)
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[name] = section
        return section.holders[right]

    def _find(self, name: str) -> Section:
        if len(name) > LONGEST_NAME:
            return _UNNAMED
        found = (section for section in self._sections if section.names.search(name))
        return next(found, _UNNAMED)


# --- the file ----------------------------------------------------------------


class _Line(NamedTuple):
    place: str  # file and line, for people
    key: str
    value: str


class _Block(NamedTuple):
    place: str
    expression: str
    lines: list[_Line]


def parse(text: str, path: str, form: Format) -> Protection:
    """Read a file; ``path`` is what errors call it.

    Raises Misconfigured, naming file and line, for whatever is not right in it.
    """
    sections: dict[str, Section] = {}
    policies: dict[str, str] = {}
    for block in _blocks(text, path):
        if block.expression in sections:
            raise _wrong(block.place, f"[{block.expression}] is there twice")
        sections[block.expression] = _section(block, form, policies)
    if not sections:
        LOG.warning("%s: no section, so nobody may do anything", path)
    for expression in [name for name in sections if name.startswith(RESERVED_PREFIX)]:
        LOG.warning(
            "%s: [%s] has no effect: such properties are the service's own",
            path,
            expression,
        )
        del sections[expression]
    return Protection(tuple(sections.values()), policies)


def _blocks(text: str, path: str) -> Iterator[_Block]:
    block: _Block | None = None
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{path}, line {number}"
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if line[0] == "[":
            if block is not None:
                yield block
            block = _Block(place, _expression(stripped, place), [])
        elif block is None:
            raise _wrong(place, "a line before the first [section]")
        elif line[0].isspace():
            _continue(block, stripped, place)
        else:
            key, *value = (part.strip() for part in re.split("[=:]", line, maxsplit=1))
            if not value:
                raise _wrong(place, "neither [expression] nor right = value")
            block.lines.append(_Line(place, key.lower(), value[0]))
    if block is not None:
        yield block


def _expression(line: str, place: str) -> str:
    # The brackets are the file's; those within belong to the expression.
    if not line.endswith("]") or len(line) < 3:
        raise _wrong(place, "a section is written [expression]")
    return line[1:-1]


def _continue(block: _Block, text: str, place: str) -> None:
    """Add an indented line to the value before it."""
    if not block.lines:
        raise _wrong(place, "an indented line that continues nothing")
    last = block.lines[-1]
    block.lines[-1] = last._replace(value=f"{last.value}\n{text}".strip())


def _section(block: _Block, form: Format, policies: dict[str, str]) -> Section:
    try:
        names = re.compile(block.expression)
    except (re.error, OverflowError, RecursionError) as error:
        reason = f"[{block.expression}] is not a regular expression: {error}"
        raise _wrong(block.place, reason) from error
    holders: dict[Right, Holders] = {}
    for line in block.lines:
        right = next((right for right in RIGHTS if right == line.key), None)
        if right is None:
            raise _wrong(line.place, f"there is no right '{line.key}'")
        if right in holders:
            raise _wrong(line.place, f"'{right}' is there twice")
        holders[right] = _holders(line, form)
        policy = holders[right].policy
        if policy is not None:
            policies.setdefault(policy, line.place)
    missing = [right for right in RIGHTS if right not in holders]
    if missing:
        reason = f"[{block.expression}] does not say who may {', '.join(missing)}"
        raise _wrong(block.place, reason)
    return Section(names, holders)


def _holders(line: _Line, form: Format) -> Holders:
    words = {word.strip().lower() for word in line.value.split(",")} - {""}
    if {EVERYBODY, NOBODY} <= words:
        raise _wrong(line.place, f"{EVERYBODY} and {NOBODY} contradict each other")
    if not words:
        LOG.warning(
            "%s: '%s' names nobody; write %s if it is meant so",
            line.place,
            line.key,
            NOBODY,
        )
    if form == "policies" and ("," in line.value or "\n" in line.value):
        raise _wrong(line.place, "one policy for each right, no list")
    if EVERYBODY in words:
        return Holders(everybody=True)
    if NOBODY in words or not words:
        return Holders()
    if form == "policies":
        return Holders(policy=line.value)
    return Holders(roles=frozenset(words))


def _wrong(place: str, reason: str) -> errors.Misconfigured:
    return errors.Misconfigured(reason=f"{place}: {reason}. Correct the file.")
