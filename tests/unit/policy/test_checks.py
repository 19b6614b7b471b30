"""The worked out rules answer as oslo.policy does: for any rule, caller and target."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oslo_config import cfg
from oslo_policy import policy

from imageservice.policy import checks

TEXTS = st.sampled_from(["a", "A", "b", "None", "True", "1", "", "admin", "public"])
VALUES = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(0, 2))
NAMES = ["project_id", "owner", "visibility", "x", "roles"]

TARGETS = st.dictionaries(st.sampled_from(NAMES), VALUES)
CALLERS = st.fixed_dictionaries(
    {},
    optional={
        "roles": st.lists(TEXTS, max_size=3),
        "project_id": st.one_of(TEXTS, st.none()),
        "x": VALUES,
        "user": st.fixed_dictionaries({"id": TEXTS, "groups": st.lists(TEXTS)}),
        "teams": st.lists(st.fixed_dictionaries({"name": TEXTS}), max_size=2),
    },
)

MATCHES = st.one_of(
    st.sampled_from([f"%({name})s" for name in NAMES]),
    st.sampled_from(["%(x)s-%(owner)s", "%(x)5s", "%(x)r", "%%", "a", "A", "None"]),
    st.sampled_from(["%(x)d", "%s", "%", "%(x", "50%"]),  # what only oslo.policy judges
)
KINDS = st.sampled_from(
    [
        "project_id",
        "x",
        "'a'",
        "'public'",
        "True",
        "None",
        "1",
        "user.id",
        "user.groups",
    ]
    + ["teams.name", "x.y", "nothing", "user.id.deeper", "roles"]
)
LEAVES = st.one_of(
    st.just("@"),
    st.just("!"),
    st.builds("{}:{}".format, st.one_of(KINDS, st.just("role")), MATCHES),
    st.sampled_from(["rule:one", "rule:two"]),
)


def _larger(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} and {})".format, parts, parts),
        st.builds("({} or {})".format, parts, parts),
        st.builds("not {}".format, parts),
    )


RULES = st.recursive(LEAVES, _larger, max_leaves=8)
# What is referred to refers to nothing: cycles are another test's business.
REFERRED = st.sampled_from(["", "!", "role:admin", "x:%(x)s", "project_id:%(owner)s"])


def answer_of_oslo(enforcer: policy.Enforcer, target: dict, caller: dict) -> object:
    try:
        return bool(enforcer.enforce("asked", dict(target), dict(caller)))
    except Exception as error:  # whatever a rule makes it raise
        return type(error)


@settings(deadline=None, max_examples=600)
@given(RULES, REFERRED, REFERRED, CALLERS, st.lists(TARGETS, min_size=1, max_size=3))
def test_a_worked_out_rule_answers_as_oslo_policy_does(rule, one, two, caller, targets):
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    enforcer = policy.Enforcer(conf, use_conf=False)
    text = {"asked": rule, "one": one, "two": two}
    enforcer.set_rules(policy.Rules.from_dict(text), use_conf=False)

    try:
        verdict = checks.verdict(enforcer.rules["asked"], enforcer.rules, caller)
    except checks.Unknown:
        return

    for target in targets:
        ours = verdict if isinstance(verdict, bool) else verdict.holds(target)
        assert ours == answer_of_oslo(enforcer, target, caller)


@settings(deadline=None)
@given(RULES, REFERRED, REFERRED, CALLERS, VALUES)
def test_credentials_that_a_rule_does_not_name_change_nothing(
    rule, one, two, caller, other
):
    rules = policy.Rules.from_dict({"asked": rule, "one": one, "two": two})
    try:
        leaves = list(checks.leaves(rules["asked"], rules))
        named = frozenset().union(*(checks.credentials_of(leaf) for leaf in leaves))
        before = checks.verdict(rules["asked"], rules, caller)
    except checks.Unknown:
        return
    changed = {name: caller.get(name, other) for name in named if name in caller}

    after = checks.verdict(rules["asked"], rules, changed)

    assert isinstance(before, bool) == isinstance(after, bool)
    if isinstance(before, bool):
        assert before == after
    else:
        for target in ({}, {"x": "a", "owner": "a", "project_id": None}):
            assert before.holds(target) == after.holds(target)


def test_a_rule_that_is_decided_by_the_caller_alone_needs_no_target():
    rules = policy.Rules.from_dict({"r": "role:admin or x:%(x)s"})

    assert checks.verdict(rules["r"], rules, {"roles": ["Admin"], "x": "a"}) is True


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param("http://127.0.0.1/", id="remote"),
        pytest.param("x:%(x)d", id="number"),
        pytest.param("x:%s", id="whole-target"),
        pytest.param("x.y.z:a", id="through-a-text"),
    ],
)
def test_what_is_not_understood_is_left_to_oslo_policy(rule):
    rules = policy.Rules.from_dict({"r": rule})

    with pytest.raises(checks.Unknown):
        checks.verdict(rules["r"], rules, {"x": "a"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param({"r": "rule:ownr"}, "'rule:ownr', which is not", id="undefined"),
        pytest.param({"r": "rule:s", "s": "not rule:r"}, "itself", id="circle"),
    ],
)
def test_broken_references_are_found(text, said):
    rules = policy.Rules.from_dict(text)

    with pytest.raises(checks.Broken, match=said):
        list(checks.leaves(rules["r"], rules, ("r",)))
