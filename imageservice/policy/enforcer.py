"""Decides by the operator's rules: oslo.policy behind one class, made once per process."""

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from oslo_config import cfg
from oslo_policy import _checks as oslo
from oslo_policy import opts, policy

from imageservice import errors
from imageservice.context import Context
from imageservice.domain.image import Image
from imageservice.policy import checks, rules, target
from imageservice.policy.checks import Verdict
from imageservice.policy.target import Target

LOG = logging.getLogger(__name__)

LOOK_INTERVAL_S = 1.0
"""How often policy files are looked at."""

SETTLE_S = 0.5
"""Files that changed less than this ago may be half written: they are read later."""

_CACHED_VERDICTS = 10_000

# Every rule is for callers with a project: these credentials mean that he has none.
_OTHER_SCOPES = ("system_scope", "domain_id")

Signature = tuple[tuple[str, int, int, int, int], ...]

SIGHT = "get_image"
"""The rule of who sees an image."""


class Enforcer:
    """The rules in force, re-read when their files change.

    ``adopted`` are rules beside our own that will be asked for, and for each the place
    that names it.

    Raises Misconfigured when made with files that cannot be understood, or that lack an
    adopted rule; the same in files that change later is logged, and the rules stay as
    they were.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        clock: Callable[[], float] = time.monotonic,
        *,
        adopted: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._conf = conf
        self._adopted = adopted
        self._clock = clock
        opts.set_defaults(conf)
        if not conf.oslo_policy.enforce_new_defaults:
            # To ignore it would refuse what was to be allowed, and nobody knew why.
            raise errors.Misconfigured(
                reason="[oslo_policy] enforce_new_defaults: the old defaults let"
                " everybody do nearly everything and are not offered. Remove the"
                " option, and write rules for callers who lack the roles reader and"
                " member into the policy file."
            )
        self._next_look = clock() + LOOK_INTERVAL_S
        try:
            self._signature = _signature(conf)
        except OSError as error:
            raise errors.Misconfigured(
                reason=f"[oslo_policy] policy_dirs: {error}. Correct or remove it."
            ) from error
        self._loaded = _Loaded(conf, adopted)

    def allows(self, rule: str, ctx: Context, on: Target) -> bool:
        """Tell whether ``ctx`` passes ``rule`` on a target made by ``policy.target``."""
        return self._current().allows(rule, ctx.credentials, on)

    def check(self, rule: str, ctx: Context, on: Target) -> None:
        """Raise PolicyForbids unless ``allows``."""
        if not self.allows(rule, ctx, on):
            raise errors.PolicyForbids(rule=rule)

    def filter(self, rule: str, ctx: Context, images: list[Image]) -> list[Image]:
        """Return those of ``images`` that ``ctx`` passes ``rule`` on."""
        loaded = self._current()
        found = loaded.verdict(rule, ctx.credentials)
        if isinstance(found, bool):
            return images if found else []
        if found is None or not found.names <= target.RELATION:
            return [
                image
                for image in images
                if loaded.allows(rule, ctx.credentials, target.Existing(ctx, image))
            ]
        # Images of one owner, visibility and membership are all the same to the rule.
        answers: dict[tuple[str | None, ...], bool] = {}
        kept = []
        for image in images:
            key = (image.owner, image.visibility, image.membership)
            answer = answers.get(key)
            if answer is None:
                answer = answers[key] = found.holds(target.Existing(ctx, image))
            if answer:
                kept.append(image)
        return kept

    @property
    def hides_images(self) -> bool:
        """Whether operators have a rule of their own about who sees an image.

        Then it comes before all that is done with one. With the default it does not:
        who has the role ``member`` alone may not look, and yet download and change,
        as published (images.md §4).
        """
        return self._current().hides_images

    def is_admin(self, ctx: Context) -> bool:
        return self.allows("context_is_admin", ctx, {})

    def _current(self) -> "_Loaded":
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + LOOK_INTERVAL_S
            self._look()
        return self._loaded

    def _look(self) -> None:
        try:
            signature = _signature(self._conf)
            if signature == self._signature:
                return
            is_unsettled = _is_unsettled(self._conf)
        except OSError as error:
            LOG.error("policy rules stay as they were: %s", error)
            return
        if is_unsettled:
            # Many editors empty a file before they write it, or move it away: for a
            # moment that would be the defaults, which may grant what was denied.
            self._next_look = self._clock() + SETTLE_S
            return
        self._signature = signature
        try:
            loaded = _Loaded(self._conf, self._adopted, had_file=self._loaded.has_file)
            is_stale = _signature(self._conf) != signature
        except (errors.Misconfigured, OSError) as error:
            LOG.error("policy rules stay as they were: %s", error)
            return
        if not is_stale:  # else the next look finds the difference
            self._loaded = loaded
            LOG.info("policy rules read again")


class _Loaded:
    """The rules of one state of the files. Replaced as a whole, never changed."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        adopted: Mapping[str, str],
        *,
        had_file: bool = False,
    ) -> None:
        self.has_file = _policy_file(conf, had_file=had_file) is not None
        self._oslo = _read(conf, adopted)
        self._rules: checks.Rules = self._oslo.rules
        self.hides_images = _is_changed(self._oslo, SIGHT)
        asked_for = rules.NAMES.union(adopted)
        self._needs = {name: self._credentials(name) for name in asked_for}
        self._verdicts: dict[object, Verdict] = {}

    def allows(self, rule: str, caller: Mapping[str, Any], on: Target) -> bool:
        found = self.verdict(rule, caller)
        if found is None:
            # oslo.policy adds to the credentials it is given.
            return bool(self._oslo.enforce(rule, dict(on), dict(caller)))
        return found if isinstance(found, bool) else found.holds(on)

    def verdict(self, rule: str, caller: Mapping[str, Any]) -> Verdict | None:
        """What ``rule`` means for ``caller``; None if only oslo.policy can tell.

        Raises KeyError for a name that is not ours: that is a bug, not a refusal.
        """
        needs = self._needs[rule]
        if needs is None:
            return None
        key = (rule, *[_frozen(caller.get(name)) for name in needs])
        found = self._verdicts.get(key)
        if found is None:
            if any(caller.get(name) for name in _OTHER_SCOPES):
                found = False
            else:
                try:
                    found = checks.verdict(self._rules[rule], self._rules, caller)
                except checks.Unknown:
                    return None
            if len(self._verdicts) >= _CACHED_VERDICTS:
                self._verdicts.clear()
            self._verdicts[key] = found
        return found

    def _credentials(self, rule: str) -> tuple[str, ...] | None:
        names = set(_OTHER_SCOPES)
        try:
            # To the end, even behind a check that is not understood: to find what is broken.
            found = list(checks.leaves(self._rules[rule], self._rules, (rule,)))
        except checks.Broken as error:
            raise errors.Misconfigured(
                reason=f"policy: the rule '{rule}' {error}. Correct or remove it."
            ) from error
        try:
            for leaf in found:
                names |= checks.credentials_of(leaf)
        except checks.Unknown as unknown:
            LOG.info("policy rule %s is evaluated by oslo.policy: %s", rule, unknown)
            return None
        return tuple(sorted(names))


def _frozen(value: object) -> object:
    """Make a credential part of a key; equal keys mean equal texts (True is not 1)."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return (type(value), repr(value))


def _policy_file(conf: cfg.ConfigOpts, *, had_file: bool) -> str | None:
    name = conf.oslo_policy.policy_file
    path: str | None = conf.find_file(name)
    if path is not None:
        return path
    given = conf.get_location("policy_file", "oslo_policy")
    if had_file or (given is not None and given.location.is_user_controlled):
        # To go on with the defaults would grant what the file was to deny.
        raise errors.Misconfigured(
            reason=f"[oslo_policy] policy_file: there is no file {name}."
            " Create it or remove the option."
        )
    return None


def _read(conf: cfg.ConfigOpts, adopted: Mapping[str, str]) -> policy.Enforcer:
    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(rules.list_rules())
    try:
        for path in _paths(conf):
            # oslo.policy takes most files that it cannot read for empty ones.
            with open(path, "rb") as file:
                file.read(1)
                if os.fstat(file.fileno()).st_mtime <= 0:
                    # As systems have it that are built bit for bit.
                    raise OSError(f"{path} is dated 1970, so not read: touch it")
        enforcer.load_rules()
    except (OSError, ValueError, AttributeError, TypeError, cfg.Error) as error:
        raise errors.Misconfigured(
            reason=f"{conf.find_file(conf.oslo_policy.policy_file)}: not a policy file:"
            f" {error}"
        ) from error
    # From here on it never looks at the files by itself: half-read rules, seen by
    # another thread, would fall back to the rule "default", which allows.
    enforcer.use_conf = False
    _refuse_misread(enforcer)
    for name, place in adopted.items():
        # Not left to oslo.policy: it takes an unknown rule for "default", which allows.
        if name not in enforcer.rules:
            raise errors.Misconfigured(
                reason=f"{place}: there is no policy rule {name}. Add it to"
                f" {conf.oslo_policy.policy_file} or name another one."
            )
    foreign = sorted(set(enforcer.file_rules) - _used(enforcer) - set(adopted))
    if foreign:
        LOG.warning("policy rules that guard nothing here: %s", ", ".join(foreign))
    return enforcer


def _refuse_misread(enforcer: policy.Enforcer) -> None:
    """Raise Misconfigured for checks that oslo.policy did not understand.

    It takes them for "nobody", which may well stand behind a "not".
    """
    for name, rule in enforcer.file_rules.items():
        if not isinstance(rule.check_str, str):
            continue  # the old form, lists of lists
        meant = re.split(r"[\s()]+", rule.check_str).count("!")
        found = sum(isinstance(part, oslo.FalseCheck) for part in _parts(rule.check))
        if found > meant:
            raise errors.Misconfigured(
                reason=f"policy: the rule '{name}' is not understood:"
                f' "{rule.check_str}". Correct or remove it.'
            )


def _is_changed(enforcer: policy.Enforcer, name: str) -> bool:
    own = enforcer.file_rules.get(name)
    default = enforcer.registered_rules[name]
    return own is not None and str(own.check) != str(default.check)


def _used(enforcer: policy.Enforcer) -> set[str]:
    """Our rules, and those that operators' own rules are made of."""
    return set(rules.NAMES).union(
        check.match
        for rule in enforcer.file_rules.values()
        for check in _parts(rule.check)
        if isinstance(check, policy.RuleCheck)
    )


def _parts(check: Any) -> Iterator[Any]:
    """Yield the checks that a check is made of, references as such."""
    # And and Or hold several checks, Not holds one.
    within = getattr(check, "rules", None) or [getattr(check, "rule", None)]
    if within == [None]:
        yield check
    for part in within:
        if part is not None:
            yield from _parts(part)


def _paths(conf: cfg.ConfigOpts) -> Iterator[str]:
    """Yield the files that rules are read from, as oslo.policy finds them."""
    path = conf.find_file(conf.oslo_policy.policy_file)
    if path is not None:
        yield path
    for folder in _folders(conf):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if not entry.name.startswith(".") and not entry.is_dir():
                yield entry.path


def _folders(conf: cfg.ConfigOpts) -> list[str]:
    found = [conf.find_file(name) for name in conf.oslo_policy.policy_dirs]
    return [folder for folder in found if folder is not None]


def _is_unsettled(conf: cfg.ConfigOpts) -> bool:
    """Tell whether somebody may be writing: contents, or names in a folder, just changed."""
    now = time.time()
    for path in (*_folders(conf), *_paths(conf)):
        with contextlib.suppress(FileNotFoundError):
            # A time to come is a wrong clock: nothing to wait for.
            if 0 <= now - os.stat(path).st_mtime < SETTLE_S:
                return True
    return False


def _signature(conf: cfg.ConfigOpts) -> Signature:
    """Tell one state of the policy files from another; as much as stat() says."""
    found = []
    for path in _paths(conf):
        try:
            stat = os.stat(path)
            # Rights are changed without a new time of writing: hence st_ctime.
            times = (stat.st_mtime_ns, stat.st_ctime_ns)
            found.append((path, *times, stat.st_size, stat.st_ino))
        except FileNotFoundError:
            continue  # removed this moment: that is a change, too
    return tuple(found)


def for_tools(conf: cfg.ConfigOpts, tool: cfg.ConfigOpts) -> policy.Enforcer:
    """Return the rules that ``conf`` leads to, for oslo.policy's commands.

    ``tool`` is the configuration of the command itself: where the policy file lies is
    written into it, since one of them opens the file by that name.
    """
    opts.set_defaults(conf)
    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(rules.list_rules())
    opts.set_defaults(tool)
    path = conf.find_file(conf.oslo_policy.policy_file)
    tool.set_override(
        "policy_file", path or conf.oslo_policy.policy_file, opts.list_opts()[0][0]
    )
    return enforcer
