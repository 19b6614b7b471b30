"""oslo.policy's checks, worked out for one caller as far as they do not need the target.

Asking oslo.policy takes about 100 µs, and a list asks once per image. But the callers
of a cloud are few: for given credentials a rule shrinks to yes, to no, or to a short
test of two or three attributes. The answers are those of oslo.policy itself, which
tests/unit/policy/test_checks.py holds with random rules; what is not understood here
(checks by HTTP, plug-ins, odd formats) raises Unknown and is left to oslo.policy.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

# The module is private, but it is what a parsed rule is made of. A class that is new
# or changed its name makes this module raise Unknown or fail to load, never allow.
from oslo_policy import _checks as oslo

Credentials = Mapping[str, Any]  # what oslo.context says of a caller
Target = Mapping[str, object]
Rules = Mapping[str, oslo.BaseCheck]


class Unknown(Exception):
    """This rule is to be evaluated by oslo.policy itself."""


class Broken(Exception):
    """A rule refers to one that is not defined, or to itself."""


class Test(NamedTuple):
    """What remains of a rule: a function of the target's attributes ``names``."""

    names: frozenset[str]
    holds: Callable[[Target], bool]


Verdict = bool | Test


def leaves(
    check: oslo.BaseCheck, rules: Rules, within: tuple[str, ...] = ()
) -> Iterator[oslo.BaseCheck]:
    """Yield the checks that ``check`` is made of, through the rules it refers to.

    Raises Broken. To oslo.policy an undefined rule means ``default``, and that is
    "everybody": a slip of the pen must not open what it was to close.
    """
    if isinstance(check, oslo.RuleCheck):
        if check.match in within:
            raise Broken(f"'rule:{check.match}' refers to itself")
        if check.match not in rules:
            raise Broken(f"refers to 'rule:{check.match}', which is not defined")
        yield from leaves(rules[check.match], rules, (*within, check.match))
    elif isinstance(check, oslo.AndCheck | oslo.OrCheck):
        for part in check.rules:
            yield from leaves(part, rules, within)
    elif isinstance(check, oslo.NotCheck):
        yield from leaves(check.rule, rules, within)
    else:
        yield check


def credentials_of(check: oslo.BaseCheck) -> frozenset[str]:
    """Name the credentials that a leaf may look at. Raises Unknown."""
    if type(check) in (oslo.TrueCheck, oslo.FalseCheck):
        return frozenset()
    if type(check) is oslo.RoleCheck:
        return frozenset({"roles"})
    if type(check) is oslo.GenericCheck:
        if _literal(check.kind):
            return frozenset()
        return frozenset({check.kind.split(".")[0]})
    raise Unknown(str(check))


def verdict(check: oslo.BaseCheck, rules: Rules, caller: Credentials) -> Verdict:
    """Evaluate a rule without cycles for ``caller``. Raises Unknown."""
    match check:
        case oslo.TrueCheck():
            return True
        case oslo.FalseCheck():
            return False
        case oslo.NotCheck():
            return _negated(verdict(check.rule, rules, caller))
        case oslo.AndCheck():
            return _all([verdict(part, rules, caller) for part in check.rules])
        case oslo.OrCheck():
            parts = [_negated(verdict(p, rules, caller)) for p in check.rules]
            return _negated(_all(parts))
    if type(check) is oslo.RuleCheck:
        return verdict(rules[check.match], rules, caller)
    if type(check) is oslo.RoleCheck:
        roles = frozenset(role.lower() for role in caller.get("roles", ()))
        return _compared(check.match, roles, str.lower)
    if type(check) is oslo.GenericCheck:
        accepted = _literal(check.kind)
        if not accepted:
            accepted = _values(caller, check.kind.split("."))
        return _compared(check.match, accepted, str)
    raise Unknown(str(check))


def _negated(part: Verdict) -> Verdict:
    if isinstance(part, bool):
        return not part
    holds = part.holds
    return Test(part.names, lambda target: not holds(target))


def _all(parts: list[Verdict]) -> Verdict:
    # Tests never raise (see _names), so that their order does not matter.
    if False in parts:
        return False
    tests = [part for part in parts if isinstance(part, Test)]
    if not tests:
        return True
    if len(tests) == 1:
        return tests[0]
    functions = [test.holds for test in tests]

    def holds(target: Target) -> bool:
        return all(function(target) for function in functions)

    return Test(frozenset().union(*(test.names for test in tests)), holds)


def _literal(kind: str) -> frozenset[str]:
    """Return the text that the left side of ``kind:match`` is, empty if it is a name."""
    try:
        return frozenset({str(ast.literal_eval(kind))})
    except ValueError:
        return frozenset()
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise Unknown(kind) from error


def _values(value: Any, path: list[str]) -> frozenset[str]:
    """Collect what a dotted name stands for in the credentials: any one may match."""
    if not path:
        return frozenset({str(value)})
    try:
        value = value[path[0]]
    except KeyError:
        return frozenset()
    except (TypeError, IndexError) as error:
        raise Unknown(".".join(path)) from error
    if isinstance(value, list):
        return frozenset().union(*(_values(item, path[1:]) for item in value))
    return _values(value, path[1:])


def _compared(
    template: str, accepted: frozenset[str], fold: Callable[[str], str]
) -> Verdict:
    """Test that ``template``, filled from the target, is one of the accepted texts."""
    names = _names(template)
    if not names:
        return fold(template % {}) in accepted
    if not accepted:
        return False

    def holds(target: Target) -> bool:
        try:
            return fold(template % target) in accepted
        except KeyError:
            return False

    return Test(names, holds)


class _Recorder(dict[str, str]):
    """Stands for a target and notes which attributes a template asks for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __missing__(self, name: str) -> str:
        self.names.add(name)
        return "text"

    def __repr__(self) -> str:
        raise TypeError("the template takes the whole target")


def _names(template: str) -> frozenset[str]:
    """Name the attributes in ``template``; raise Unknown if it needs more than text.

    Whatever is given to such a template afterwards, it cannot raise but KeyError.
    """
    recorder = _Recorder()
    try:
        template % recorder  # only to see what it asks for
    except (TypeError, ValueError, OverflowError) as error:
        raise Unknown(template) from error
    return frozenset(recorder.names)
