"""The file of property protections: what it says, and which mistakes end the start."""

from pathlib import Path

import pytest

from imageservice import errors
from imageservice.domain import protection
from imageservice.domain.protection import RIGHTS, Holders

SAMPLE = Path(__file__).parents[3] / "etc" / "property-protections.ini.sample"

EVERYBODY, NOBODY = Holders(everybody=True), Holders()


def roles(*names):
    return Holders(roles=frozenset(names))


def section(expression, create="a", read="a", update="a", delete="a"):
    return (
        f"[{expression}]\ncreate = {create}\nread = {read}\n"
        f"update = {update}\ndelete = {delete}\n"
    )


def read(text, form="roles"):
    return protection.parse(text, "p.ini", form)


def test_each_right_has_its_own_holders():
    read_in = read(section("^x$", "admin, Member", "@", "!", "spl role"))

    assert [read_in.holders(right, "x") for right in RIGHTS] == [
        roles("admin", "member"),
        EVERYBODY,
        NOBODY,
        roles("spl role"),
    ]


def test_the_first_section_that_finds_a_name_counts():
    read_in = read(section("^ab", read="one") + section("^a", read="two"))

    assert read_in.holders("read", "abc") == roles("one")
    assert read_in.holders("read", "acc") == roles("two")


@pytest.mark.parametrize(
    ("expression", "name", "is_found"),
    [
        ("x", "hw_x_y", True),
        ("^x_.*", "x_y", True),
        ("^x_.*", "hw_x_y", False),
        ("[xy]_", "y_", True),
        ("^$", "", True),
        ("^x$", "x" * 256, False),
        (".*", "x" * 256, False),
    ],
)
def test_expressions_are_searched_for_within_a_name(expression, name, is_found):
    found = read(section(expression)).holders("read", name)

    assert found == (roles("a") if is_found else NOBODY)


def test_a_name_that_no_section_finds_is_forbidden():
    assert read(section("^x$")).holders("create", "y") == NOBODY
    assert read("").holders("read", "y") == NOBODY


def test_what_the_service_notes_down_is_open_whatever_the_file_says(caplog):
    read_in = read(section("os_glance_x", read="!") + section(".*", read="!"))

    assert read_in.holders("read", "os_glance_x") == EVERYBODY
    assert "[os_glance_x] has no effect" in caplog.text


def test_a_name_that_only_holds_the_services_prefix_is_not_open():
    read_in = read(section("^secret_", read="!"))

    assert read_in.holders("read", "secret_os_glance_x") == NOBODY


def test_an_empty_value_is_nobody_and_is_warned_of(caplog):
    assert read(section("x", read="")).holders("read", "x") == NOBODY
    assert "p.ini, line 3: 'read' names nobody" in caplog.text


def test_a_value_may_go_on_in_indented_lines():
    text = section("x").replace("read = a", "read = a,\n   # not this\n   b")

    assert read(text).holders("read", "x") == roles("a", "b")


def test_comments_and_empty_lines_are_nothing():
    text = "# first\n\n; second\n" + section("x").replace("\n", "\n\n# between\n")

    assert read(text).holders("read", "x") == roles("a")


def test_nobody_beside_a_role_is_nobody():
    assert read(section("x", read="!,a")).holders("read", "x") == NOBODY


def test_a_policy_is_one_name():
    read_in = read(section("x", "my:rule", "@", "!", "Other"), "policies")

    assert [read_in.holders(right, "x") for right in RIGHTS] == [
        Holders(policy="my:rule"),
        EVERYBODY,
        NOBODY,
        Holders(policy="Other"),
    ]
    assert read_in.policies == {"my:rule": "p.ini, line 2", "Other": "p.ini, line 5"}


@pytest.mark.parametrize(
    ("text", "form", "said"),
    [
        pytest.param(
            section("a") + section("(b"),
            "roles",
            r"line 6: \[\(b\] is not a regular expression",
            id="expression",
        ),
        pytest.param(
            section("a", read="@,!"), "roles", "line 3: @ and !", id="contradiction"
        ),
        pytest.param(
            section("a", update="@, x, !"),
            "policies",
            "line 4: @ and !",
            id="contradiction-of-policies",
        ),
        pytest.param(
            section("a", read="x,y"), "policies", "line 3: one policy", id="policies"
        ),
        pytest.param(
            section("a") + section("b") + section("a"),
            "roles",
            r"line 11: \[a\] is there twice",
            id="section-twice",
        ),
        pytest.param(
            "[a]\nread = a\nREAD = b\n", "roles", "line 3: 'read' is there twice",
            id="right-twice",
        ),
        pytest.param(
            "\n[a]\nread = a\n", "roles",
            r"line 2: \[a\] does not say who may create, update, delete",
            id="rights-missing",
        ),
        pytest.param("[a]\n", "roles", "line 1: .*create, read", id="empty-section"),
        pytest.param(
            section("a") + "raed = b\n", "roles", "line 6: .*no right 'raed'",
            id="unknown-right",
        ),
        pytest.param("read = a\n", "roles", "line 1: .*before", id="no-section"),
        pytest.param("[a\n", "roles", "line 1: a section is", id="bracket"),
        pytest.param("[]\n", "roles", "line 1: a section is", id="empty-expression"),
        pytest.param("[a]\nread\n", "roles", "line 2: neither", id="no-value"),
        pytest.param("[a]\n  read = a\n", "roles", "line 2: .*indented", id="indented"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_and_line(text, form, said):
    with pytest.raises(errors.Misconfigured, match=rf"^p\.ini, {said}"):
        read(text, form)


def test_the_sample_file_does_what_it_says():
    sample = read(SAMPLE.read_text(encoding="utf-8"))

    assert sample.holders("update", "licence_x") == roles("admin", "licensing")
    assert sample.holders("read", "internal_x") == roles("admin", "service")
    assert sample.holders("update", "origin") == NOBODY
    assert sample.holders("update", "original") == EVERYBODY
