"""Rules in force: defaults, operators' files, their changes, and the answers."""

import contextlib
import logging
import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imageservice import errors
from imageservice.policy import files, rules, target
from imageservice.policy.defaults import VIEWER
from imageservice.policy.enforcer import LOOK_INTERVAL_S, Enforcer
from imageservice.policy.files import SETTLE_S

PROJECTS = st.sampled_from([None, "a", "b"])
ROLES = st.lists(st.sampled_from(["admin", "member", "reader", "service"]), max_size=3)


@pytest.fixture
def look(clock, tmp_path):
    """Let as much time pass as it takes until files, finished by then, are read again."""

    def look():
        clock.now += LOOK_INTERVAL_S
        for path in tmp_path.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                written = path.stat().st_mtime - 2 * SETTLE_S
                os.utime(path, (written, written))

    return look


@settings(
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from(sorted(rules.NAMES)),
    ROLES,
    PROJECTS,
    PROJECTS,
    st.sampled_from(["public", "community", "shared", "private"]),
    st.sampled_from([None, "pending", "accepted"]),
    st.sampled_from([{}, {"system_scope": "all"}, {"domain_id": "d"}]),
)
def test_default_rules_are_answered_as_oslo_policy_answers_them(
    an_enforcer, an_image, a_caller, rule, roles, project, owner, seen, status, scope
):
    enforcer = an_enforcer()
    oslo = enforcer._loaded._oslo
    ctx = a_caller(project, *roles, **scope)
    image = an_image(owner=owner, visibility=seen, membership=status)

    on = target.Existing(ctx, image)

    expected = bool(oslo.enforce(rule, dict(on), ctx))
    assert enforcer.allows(rule, ctx, on) == expected
    assert enforcer.filter(rule, ctx, [image, image]) == [image, image] * expected


def test_an_unknown_rule_is_a_bug_and_never_allows(an_enforcer, a_caller):
    with pytest.raises(KeyError):
        an_enforcer().allows("delet_image", a_caller("p", "admin"), {})


def test_a_refusal_names_the_rule(an_enforcer, a_caller):
    with pytest.raises(errors.PolicyForbids, match="complete stores_info_detail"):
        an_enforcer().check("stores_info_detail", a_caller("p", "reader"), {})


@pytest.mark.parametrize("scope", [{"system_scope": "all"}, {"domain_id": "d"}])
def test_tokens_without_project_are_refused_whatever_their_roles(
    an_enforcer, a_caller, scope
):
    ctx = a_caller(None, "admin", **scope)

    assert not an_enforcer().is_admin(ctx)
    assert not an_enforcer().allows("get_images", ctx, target.caller(ctx))


def test_roles_are_compared_without_case(an_enforcer, a_caller):
    assert an_enforcer().is_admin(a_caller("p", "Admin"))


def test_operators_override_a_rule(an_enforcer, an_image, a_caller):
    enforcer = an_enforcer('"delete_image": "role:janitor"')
    janitor, owner = a_caller("other", "janitor"), a_caller("owners", "member")
    image = an_image()

    assert enforcer.allows("delete_image", janitor, target.Existing(janitor, image))
    assert not enforcer.allows("delete_image", owner, target.Existing(owner, image))


def test_rules_may_test_custom_properties(an_enforcer, an_image, a_caller):
    enforcer = an_enforcer('"download_image": "\'gold\':%(tier)s"')
    ctx = a_caller("p", "reader")
    gold = an_image(id="gold", properties={"tier": "gold"})
    lead = an_image(id="lead", properties={"tier": "lead"})

    kept = enforcer.filter("download_image", ctx, [gold, lead, an_image()])

    assert kept == [gold]


def test_a_change_of_the_file_counts_after_a_second(
    an_enforcer, a_caller, tmp_path, clock, look
):
    enforcer = an_enforcer('"get_images": "!"')
    ctx = a_caller("p", "reader")
    on = target.caller(ctx)
    (tmp_path / "policy.yaml").write_text('"get_images": "role:reader"')

    assert not enforcer.allows("get_images", ctx, on)
    look()
    assert enforcer.allows("get_images", ctx, on)


@pytest.mark.parametrize(
    "unfinished",
    [
        pytest.param(lambda path: path.write_text(""), id="emptied"),
        pytest.param(lambda path: path.rename(path.parents[1] / "old"), id="moved"),
    ],
)
@pytest.mark.parametrize("name", ["policy.yaml", "policy.d/closed.yaml"])
def test_rules_stay_as_they_were_while_a_file_is_being_written(
    an_enforcer, a_caller, tmp_path, clock, look, name, unfinished
):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('"get_images": "!"')
    enforcer = an_enforcer()
    unfinished(path)

    clock.now += LOOK_INTERVAL_S
    assert not enforcer.allows("get_images", a_caller("p", "admin"), {})

    path.write_text('"get_images": "role:auditor"')
    look()
    assert not enforcer.allows("get_images", a_caller("p", "admin"), {})
    assert enforcer.allows("get_images", a_caller("p", "auditor"), {})


def test_a_file_set_back_to_an_older_one_counts_too(
    an_enforcer, a_caller, tmp_path, look
):
    enforcer = an_enforcer('"get_images": "!"')
    ctx = a_caller("p", "reader")
    path = tmp_path / "policy.yaml"
    path.write_text('"get_images": "@"')
    os.utime(path, (9, 9))
    look()

    assert enforcer.allows("get_images", ctx, {})


def test_a_file_in_the_policy_folder_overrides_and_its_removal_counts(
    an_enforcer, a_caller, tmp_path, look
):
    (tmp_path / "policy.d").mkdir()
    enforcer = an_enforcer('"get_images": "!"')
    ctx = a_caller("p", "reader")
    extra = tmp_path / "policy.d" / "10-open.yaml"

    extra.write_text('"get_images": "@"')
    look()
    assert enforcer.allows("get_images", ctx, {})

    extra.unlink()
    look()
    assert not enforcer.allows("get_images", ctx, {})


def test_a_file_that_came_during_the_start_and_has_gone_counts_no_more(
    conf_of, a_caller, tmp_path, clock, monkeypatch
):
    (tmp_path / "policy.yaml").write_text('"get_images": "@"')
    (tmp_path / "policy.d").mkdir()
    extra = tmp_path / "policy.d" / "10-closed.yaml"
    read = files.read

    def late(*args):
        extra.write_text('"get_images": "!"')
        monkeypatch.undo()
        return read(*args)

    monkeypatch.setattr(files, "read", late)
    enforcer = Enforcer(conf_of(), clock)
    assert not enforcer.allows("get_images", a_caller(), {})

    extra.unlink()
    time.sleep(SETTLE_S)
    clock.now += LOOK_INTERVAL_S

    assert enforcer.allows("get_images", a_caller(), {})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="not-yaml"),
        pytest.param("- get_images", id="not-a-mapping"),
        pytest.param('"get_images": 5', id="not-a-rule"),
        pytest.param('"get_images": "role:a or"', id="no-sentence"),
        pytest.param('"get_images": "not roles"', id="no-check"),
        pytest.param('"get_images": "rule:ownr"', id="undefined-reference"),
        pytest.param('"get_images": "rule:a"\n"a": "rule:get_images"', id="circle"),
    ],
)
def test_a_broken_file_ends_the_start_but_not_a_running_service(
    an_enforcer, a_caller, tmp_path, look, caplog, text
):
    with pytest.raises(errors.Misconfigured):
        an_enforcer(text)

    enforcer = an_enforcer('"get_images": "!"')
    (tmp_path / "policy.yaml").write_text(text + " ")
    look()
    assert not enforcer.allows("get_images", a_caller("p", "admin"), {})
    assert "stay as they were" in caplog.text


def test_a_file_that_has_gone_does_not_bring_the_defaults_back(
    an_enforcer, a_caller, tmp_path, look
):
    enforcer = an_enforcer('"get_images": "!"')
    (tmp_path / "policy.yaml").unlink()
    look()

    assert not enforcer.allows("get_images", a_caller("p", "admin"), {})


def test_a_named_file_that_is_not_there_ends_the_start(conf_of):
    conf = conf_of("[oslo_policy]\npolicy_file = polcy.yaml\n")

    with pytest.raises(errors.Misconfigured, match=r"policy_file.*polcy\.yaml"):
        Enforcer(conf)


@pytest.mark.parametrize("name", ["policy.yaml", "policy.d/closed.yaml"])
def test_a_file_that_oslo_policy_would_not_read_for_its_date_ends_the_start(
    an_enforcer, tmp_path, name
):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('"get_images": "!"')
    os.utime(path, (0, 0))

    with pytest.raises(errors.Misconfigured, match=r"dated 1970.*touch"):
        an_enforcer()


def test_rules_that_guard_nothing_are_named_in_the_log(an_enforcer, caplog):
    caplog.set_level(logging.WARNING)

    an_enforcer('"delet_image": "!"\n"get_image": "rule:mine"\n"mine": "@"')

    assert "guard nothing here: delet_image" in caplog.text


def test_checks_that_are_not_understood_are_asked_of_oslo_policy(
    an_enforcer, an_image, a_caller
):
    enforcer = an_enforcer('"get_image": "\'00007\':%(min_ram)05d"')
    ctx = a_caller("p", "reader")
    seven, eight = an_image(min_ram=7), an_image(min_ram=8)

    assert enforcer.filter("get_image", ctx, [seven, eight]) == [seven]


@pytest.mark.parametrize(
    "replaced",
    [
        pytest.param("directory", id="not-a-file"),
        pytest.param("dangling", id="link-to-nothing"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_the_rules_as_they_were(
    an_enforcer, a_caller, look, tmp_path, caplog, replaced
):
    enforcer = an_enforcer('"get_images": "!"')
    path = tmp_path / "policy.yaml"
    path.unlink()
    if replaced == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nothing")
    look()

    assert not enforcer.allows("get_images", a_caller("p", "admin"), {})
    assert "stay as they were" in caplog.text


def test_a_file_whose_rights_change_is_read_again(
    an_enforcer, a_caller, look, tmp_path
):
    path = tmp_path / "policy.yaml"
    enforcer = an_enforcer('"get_images": "!"')
    before = enforcer._signature
    path.chmod(0o600)
    look()
    enforcer.allows("get_images", a_caller("p", "admin"), {})

    assert enforcer._signature != before


def test_a_policy_folder_that_is_none_ends_the_start(an_enforcer, tmp_path):
    (tmp_path / "policy.d").write_text("no folder")

    with pytest.raises(errors.Misconfigured, match="policy_dirs"):
        an_enforcer()


def test_the_old_defaults_are_not_offered_and_end_the_start(conf_of):
    conf = conf_of("[oslo_policy]\nenforce_new_defaults = false\n")

    with pytest.raises(errors.Misconfigured, match="enforce_new_defaults"):
        Enforcer(conf)


@pytest.mark.parametrize(
    ("policy", "hides"),
    [
        pytest.param(None, False, id="no-file"),
        pytest.param('"get_image": "role:reader"', True, id="another-rule"),
        pytest.param(f'"get_image": "{VIEWER}"', False, id="the-default-again"),
        pytest.param('"get_images": "!"', False, id="other-rules"),
    ],
)
def test_an_own_rule_of_who_sees_images_is_noticed(an_enforcer, policy, hides):
    assert an_enforcer(policy).hides_images is hides


def test_a_policy_folder_that_cannot_be_read_leaves_the_rules_as_they_were(
    an_enforcer, a_caller, look, tmp_path, caplog
):
    folder = tmp_path / "policy.d"
    folder.mkdir()
    (folder / "lists.yaml").write_text("get_images: '!'\n")
    enforcer = an_enforcer()
    reader = a_caller("p", "reader")
    on = target.caller(reader)
    assert not enforcer.allows("get_images", reader, on)

    (folder / "lists.yaml").unlink()
    folder.rmdir()
    folder.write_text("no folder")
    look()

    assert not enforcer.allows("get_images", reader, on)
    assert "stay as they were" in caplog.text


ADOPTED = {"billing": "protections.ini, line 2"}


def test_rules_of_the_operators_own_can_be_adopted(
    conf_of, clock, a_caller, tmp_path, caplog
):
    (tmp_path / "policy.yaml").write_text('"billing": "role:biller"')

    enforcer = Enforcer(conf_of(), clock, adopted=ADOPTED)

    assert enforcer.allows("billing", a_caller("p", "biller"), {})
    assert not enforcer.allows("billing", a_caller("p", "admin"), {})
    assert "guard nothing" not in caplog.text


def test_an_adopted_rule_that_is_not_there_ends_the_start(conf_of, clock):
    said = r"protections\.ini, line 2: there is no policy rule billing"

    with pytest.raises(errors.Misconfigured, match=said):
        Enforcer(conf_of(), clock, adopted=ADOPTED)


def test_an_adopted_rule_that_goes_leaves_the_rules_as_they_were(
    conf_of, clock, a_caller, tmp_path, look, caplog
):
    (tmp_path / "policy.yaml").write_text('"billing": "!"')
    enforcer = Enforcer(conf_of(), clock, adopted=ADOPTED)
    (tmp_path / "policy.yaml").write_text("{}")
    look()

    assert not enforcer.allows("billing", a_caller("p", "admin"), {})
    assert "stay as they were" in caplog.text
