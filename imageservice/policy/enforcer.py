"""Decides by the operator's rules: oslo.policy behind one class, made once per process."""

import logging
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from oslo_config import cfg
from oslo_policy import opts

from imageservice import errors
from imageservice.context import Context
from imageservice.domain.image import Image
from imageservice.policy import checks, files, rules, target
from imageservice.policy.checks import Verdict
from imageservice.policy.target import Target

LOG = logging.getLogger(__name__)

LOOK_INTERVAL_S = 1.0
"""How often policy files are looked at."""

_CACHED_VERDICTS = 10_000

# Every rule is for callers with a project: these credentials mean that he has none.
_OTHER_SCOPES = ("system_scope", "domain_id")

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
        before = self._first_signature()
        self._loaded = _Loaded(conf, adopted)
        # What changed in between may or may not have been read, and may change back.
        is_stale = self._first_signature() != before
        self._signature = None if is_stale else before

    def _first_signature(self) -> files.Signature:
        try:
            return files.signature(self._conf)
        except OSError as error:
            raise errors.Misconfigured(
                reason=f"[oslo_policy] policy_dirs: {error}. Correct or remove it."
            ) from error

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
            signature = files.signature(self._conf)
            if signature == self._signature:
                return
            is_unsettled = files.is_unsettled(self._conf)
        except OSError as error:
            LOG.error("policy rules stay as they were: %s", error)
            return
        if is_unsettled:
            # Many editors empty a file before they write it, or move it away: for a
            # moment that would be the defaults, which may grant what was denied.
            self._next_look = self._clock() + files.SETTLE_S
            return
        self._signature = signature
        try:
            loaded = _Loaded(self._conf, self._adopted, had_file=self._loaded.has_file)
            is_stale = files.signature(self._conf) != signature
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
        self.has_file = files.chosen(conf, had_file=had_file) is not None
        self._oslo = files.read(conf, adopted)
        self._rules: checks.Rules = self._oslo.rules
        self.hides_images = files.is_changed(self._oslo, SIGHT)
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
