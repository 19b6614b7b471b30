"""Rights on custom properties: what is shown, found and let through."""

import pytest

from imageservice import errors
from imageservice.domain import changes as rules
from imageservice.domain import protection
from imageservice.domain.changes import Change
from imageservice.domain.query import NOWHERE, Page, Query
from imageservice.layers import properties, quota
from imageservice.layers.base import stack
from imageservice.limits.allowances import Same

PROTECTED = """
[^secret]
create = admin
read = admin
update = admin
delete = admin
[^fixed$]
create = member
read = @
update = !
delete = !
[^growing$]
create = member
read = @
update = member
delete = !
[^blind$]
create = member
read = admin
update = member
delete = member
[^free]
create = @
read = @
update = @
delete = @
"""

STORED = {"secret": "s", "fixed": "f", "free": "x"}


class Service:
    """Keeps what was asked of it, and does what the service would do."""

    def __init__(self, images=()):
        self.images = list(images)
        self.asked = None

    def list(self, ctx, query):
        self.asked = query
        return Page(self.images, False, None)

    def show(self, ctx, image):
        return image

    def create(self, ctx, image):
        return image

    def update(self, ctx, image, changes, allowance=None):
        self.written = rules.apply(image, changes, is_admin=ctx.is_admin)
        return self.written


@pytest.fixture
def rights(an_enforcer):
    read = protection.parse(PROTECTED, "p.ini", "roles")
    return properties.Rights(read, an_enforcer())


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def images(rights, service):
    return stack(properties.Shown(rights), properties.Guarded(rights), service)


@pytest.fixture
def member(a_caller):
    return a_caller("p", "member", "reader")


def test_an_image_is_shown_without_what_the_caller_may_not_read(
    images, an_image, member, a_caller
):
    image = an_image(properties=STORED)

    assert images.show(member, image).properties == {"fixed": "f", "free": "x"}
    assert images.show(a_caller("p", "ADMIN"), image) is image


def test_a_list_is_shown_without_what_the_caller_may_not_read(
    images, service, an_image, member
):
    service.images = [
        an_image(id="1", properties={"free1": "x"}),
        an_image(id="2", properties=STORED),
        an_image(id="3", properties={"free1": "y", "free2": "z", "secret": "s"}),
        an_image(id="4", properties={"unnamed": "y"}),
        an_image(id="5"),
    ]

    found = images.list(member, Query(limit=9)).images

    assert [image.properties for image in found] == [
        {"free1": "x"},
        {"fixed": "f", "free": "x"},
        {"free1": "y", "free2": "z"},
        {},
        {},
    ]
    assert found[0] is service.images[0]


@pytest.mark.parametrize("name", ["secret", "unnamed", "blind"])
def test_by_what_he_may_not_read_a_caller_finds_nothing(images, service, member, name):
    images.list(member, Query(limit=9, properties=(("free", "x"), (name, "s"))))

    assert service.asked.properties == ()
    assert NOWHERE in service.asked.conditions


def test_by_what_he_may_read_a_caller_finds_images(images, service, member):
    query = Query(limit=9, properties=(("free", "x"),))

    images.list(member, query)

    assert service.asked == query


def test_roles_of_a_service_count_and_stay_apart(images, an_image, a_caller):
    ctx = a_caller("p", "member", service_roles=["Admin"])

    shown = images.show(ctx, an_image(properties=STORED))

    assert shown.properties == STORED
    assert ctx.roles == ["member"]


def test_an_image_is_created_only_with_properties_that_may_be(images, an_image, member):
    created = images.create(member, an_image(properties={"blind": "b", "free": "x"}))

    assert created.properties == {"free": "x"}
    with pytest.raises(errors.PropertyReserved, match="'secret' is reserved"):
        images.create(member, an_image(properties={"free": "x", "secret": "s"}))


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (Change("add", "secret", "n"), errors.PropertyReserved),
        (Change("add", "secret2", "n"), errors.PropertyReserved),
        (Change("create", "secret", "n"), errors.PropertyReserved),
        (Change("create", "secret2", "n"), errors.PropertyReserved),
        (Change("replace", "secret", "n"), errors.PropertyMissing),
        (Change("replace", "secret2", "n"), errors.PropertyMissing),
        (Change("remove", "secret"), errors.PropertyMissing),
        (Change("remove", "secret2"), errors.PropertyMissing),
        (Change("add", "blind", "n"), errors.PropertyReserved),
        (Change("replace", "blind", "n"), errors.PropertyMissing),
        (Change("remove", "blind"), errors.PropertyMissing),
        (Change("add", "fixed", "n"), errors.PropertyReserved),
        (Change("create", "fixed", "n"), errors.PropertyExists),
        (Change("replace", "fixed", "n"), errors.PropertyReserved),
        (Change("remove", "fixed"), errors.PropertyReserved),
        (Change("replace", "growing", "n"), errors.PropertyMissing),
        (Change("add", "unnamed", "n"), errors.PropertyReserved),
        (Change("remove", "unnamed"), errors.PropertyMissing),
    ],
    ids=lambda value: (
        f"{value.operation}-{value.name}" if isinstance(value, Change) else ""
    ),
)
@pytest.mark.parametrize("stored", [STORED, STORED | {"blind": "b"}], ids=["", "blind"])
def test_a_change_without_the_right_is_refused(
    images, service, an_image, member, change, refused, stored
):
    with pytest.raises(refused):
        images.update(member, an_image(properties=stored), [change])

    assert not hasattr(service, "written")


def test_what_a_caller_does_not_see_survives_his_changes(
    images, service, an_image, member
):
    changes = [
        Change("replace", "name", "n"),
        Change("add", "free", "y"),
        Change("add", "growing", "1"),
        Change("replace", "growing", "2"),
        Change("add", "free2", "z"),
        Change("remove", "free2"),
    ]

    answer = images.update(member, an_image(properties=STORED), changes)

    assert service.written.properties == STORED | {"free": "y", "growing": "2"}
    assert answer.properties == {"fixed": "f", "free": "y", "growing": "2"}


def test_changes_are_judged_one_after_the_other(images, an_image, member):
    twice = [Change("add", "growing", "1"), Change("create", "growing", "2")]
    gone = [Change("remove", "free"), Change("replace", "free", "y")]
    added = [Change("add", "fixed", "1"), Change("replace", "fixed", "2")]

    for changes, refused in [
        (twice, errors.PropertyExists),
        (gone, errors.PropertyMissing),
        (added, errors.PropertyReserved),
    ]:
        with pytest.raises(refused):
            images.update(member, an_image(properties={"free": "x"}), changes)


def test_the_limit_on_properties_tells_nothing_of_hidden_ones(
    rights, service, an_image, member
):
    limits = quota.Limits(image_property_quota=2)
    images = stack(quota.Images(limits, Same(), rights.readable), service)
    hidden = {f"secret{number}": "s" for number in range(9)}

    def add(**visible):
        image = an_image(properties=hidden | visible)
        return images.update(member, image, [Change("add", "free", "x")])

    assert add(free1="x")
    with pytest.raises(errors.PropertyLimit, match="attempted 3, maximum 2"):
        add(free1="x", free2="x")


@pytest.fixture
def loaded(conf_of, tmp_path):
    """What load() makes of a file's text."""

    def load(text, form="roles"):
        (tmp_path / "p.ini").write_text(text)
        conf = conf_of(
            "[DEFAULT]\nproperty_protection_file = p.ini\n"
            f"property_protection_rule_format = {form}\n"
        )
        conf.register_opts(properties.OPTS)
        return properties.load(conf)

    return load


def test_the_file_lies_beside_the_configuration(loaded):
    assert loaded(PROTECTED).holders("read", "free").everybody


def test_without_the_option_there_is_no_protection(conf_of):
    conf = conf_of()
    conf.register_opts(properties.OPTS)

    assert properties.load(conf) is None


def test_a_file_that_is_not_there_ends_the_start(conf_of):
    conf = conf_of("[DEFAULT]\nproperty_protection_file = gone.ini\n")
    conf.register_opts(properties.OPTS)

    with pytest.raises(errors.Misconfigured, match=r"there is no file gone\.ini"):
        properties.load(conf)


def test_a_file_that_is_not_text_ends_the_start(loaded, tmp_path, conf_of):
    (tmp_path / "p.ini").write_bytes(b"\xff")
    conf = conf_of("[DEFAULT]\nproperty_protection_file = p.ini\n")
    conf.register_opts(properties.OPTS)

    with pytest.raises(errors.Misconfigured, match=r"p\.ini"):
        properties.load(conf)
