"""Limits on what one image may have."""

import io

import pytest
from oslo_config import cfg

from imageservice import errors
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.changes import Change
from imageservice.layers import quota
from imageservice.layers.base import stack
from imageservice.layers.quota import Limits
from imageservice.limits.allowances import Same


class Service:
    """Takes whatever gets here, and reads uploads to the end."""

    def create(self, ctx, image, allowance):
        self.allowance = allowance
        return image

    def update(self, ctx, image, changes, allowance=None):
        return image

    def upload(self, ctx, image, data, size, store, allowance):
        self.allowance = allowance
        while data.read(4):
            pass


def images(**limits):
    return stack(quota.Images(Limits(**limits), Same()), Service())


def properties(count, **more):
    return {f"p{n}": "x" for n in range(count)} | more


def test_a_new_image_has_its_limits(an_image):
    limited = images(image_property_quota=2, image_tag_quota=1)

    limited.create(None, an_image(properties=properties(2), tags=("a",)))
    with pytest.raises(errors.PropertyLimit, match="attempted 3, maximum 2"):
        limited.create(None, an_image(properties=properties(3)))
    with pytest.raises(errors.TagLimit, match="attempted 2, maximum 1"):
        limited.create(None, an_image(tags=("a", "b")))


def test_properties_of_the_service_itself_are_not_counted(an_image):
    own = properties(1, os_glance_import_task="t")

    assert images(image_property_quota=1).create(None, an_image(properties=own))


def test_a_negative_limit_is_none(an_image):
    unlimited = images(image_property_quota=-1, image_tag_quota=-1)
    many = tuple(map(str, range(1000)))

    assert unlimited.create(None, an_image(properties=properties(1000), tags=many))


def test_a_limit_of_zero_lets_none_in(an_image):
    with pytest.raises(errors.TagLimit):
        images(image_tag_quota=0).create(None, an_image(tags=("a",)))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param(Change("add", "p9", "x"), errors.PropertyLimit, id="property"),
        pytest.param(Change("replace", "tags", ["b"]), errors.TagLimit, id="tag"),
        pytest.param(Change("replace", "p0", "y"), None, id="known-property"),
        pytest.param(Change("remove", "p0"), None, id="fewer-properties"),
        pytest.param(Change("replace", "tags", []), None, id="fewer-tags"),
        pytest.param(Change("replace", "name", "n"), None, id="something-else"),
    ],
)
def test_an_image_over_a_lowered_limit_takes_nothing_new(
    an_image, a_caller, change, error
):
    limited = images(image_property_quota=1, image_tag_quota=0)
    image = an_image(properties=properties(3), tags=("a",))

    if error is None:
        assert limited.update(a_caller(), image, [change])
    else:
        with pytest.raises(error):
            limited.update(a_caller(), image, [change])


def test_one_patch_may_swap_a_property_at_the_limit(an_image, a_caller):
    image = an_image(properties=properties(2))
    swap = [Change("add", "new", "x"), Change("remove", "p0")]

    assert images(image_property_quota=2).update(a_caller(), image, swap)


def test_an_announced_size_beyond_the_cap_is_refused_before_a_byte_is_read(an_image):
    data = io.BytesIO(b"12345")

    with pytest.raises(errors.ImageSizeLimit, match="4 bytes"):
        images(image_size_cap=4).upload(None, an_image(), data, 5, None)
    assert data.tell() == 0


@pytest.mark.parametrize(("body", "fits"), [(b"1234", True), (b"12345", False)])
def test_an_upload_of_unknown_size_stops_at_the_cap(an_image, body, fits):
    limited = images(image_size_cap=4)

    if fits:
        limited.upload(None, an_image(), io.BytesIO(body), None, None)
    else:
        with pytest.raises(errors.ImageSizeLimit):
            limited.upload(None, an_image(), io.BytesIO(body), None, None)


def test_limits_are_those_of_the_options():
    conf = cfg.ConfigOpts()
    conf.register_opts(quota.OPTS)
    conf([], default_config_files=[], default_config_dirs=[])

    assert Limits.of(conf) == Limits()


class Doubling:
    """A project may have twice as many bytes as its name has letters."""

    def of(self, project_id):
        return UNLIMITED._replace(bytes=2 * len(project_id))


def test_the_owners_allowance_is_handed_inward_whoever_asks(an_image, a_caller):
    service = Service()
    limited = stack(quota.Images(Limits(), Doubling()), service)

    limited.create(a_caller("me"), an_image(owner="other"))
    assert service.allowance.bytes == 10
    limited.upload(a_caller("me"), an_image(owner="owner2"), io.BytesIO(), None, None)
    assert service.allowance.bytes == 12


class Silent:
    def of(self, project_id):
        raise errors.LimitsUnknown()


def test_nothing_is_let_in_while_the_limits_are_unknown(an_image, a_caller):
    service = Service()
    limited = stack(quota.Images(Limits(), Silent()), service)

    with pytest.raises(errors.LimitsUnknown):
        limited.create(a_caller(), an_image())
    with pytest.raises(errors.LimitsUnknown):
        limited.upload(a_caller(), an_image(), io.BytesIO(b"1"), 1, None)
    assert not hasattr(service, "allowance")
