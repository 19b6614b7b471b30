"""The policy files: finding them, reading them with oslo.policy, noticing that they change."""

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from oslo_config import cfg
from oslo_policy import _checks as oslo
from oslo_policy import opts, policy

from imageservice import errors
from imageservice.policy import rules

LOG = logging.getLogger(__name__)

SETTLE_S = 0.5
"""Files that changed less than this ago may be half written: they are read later."""

Signature = tuple[tuple[str, int, int, int, int], ...]


def chosen(conf: cfg.ConfigOpts, *, had_file: bool) -> str | None:
    """Return the path of ``policy_file``, None if there is none and none was asked for.

    Raises Misconfigured when an operator named a file that is not there, or when the one
    that was read before (``had_file``) is gone.
    """
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


def read(conf: cfg.ConfigOpts, adopted: Mapping[str, str]) -> policy.Enforcer:
    """Return the rules that the files and our defaults make together.

    Raises Misconfigured when a file is not understood or lacks an ``adopted`` rule.
    """
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


def is_changed(enforcer: policy.Enforcer, name: str) -> bool:
    """Tell whether the files say something else of a rule than our default."""
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


def is_unsettled(conf: cfg.ConfigOpts) -> bool:
    """Tell whether somebody may be writing: contents, or names in a folder, just changed."""
    now = time.time()
    for path in (*_folders(conf), *_paths(conf)):
        with contextlib.suppress(FileNotFoundError):
            # A time to come is a wrong clock: nothing to wait for.
            if 0 <= now - os.stat(path).st_mtime < SETTLE_S:
                return True
    return False


def signature(conf: cfg.ConfigOpts) -> Signature:
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
