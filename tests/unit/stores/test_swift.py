"""What a swift store makes of options, keys and locations, without a Swift."""

import hmac
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.swift import Swift, names
from imageservice.stores.swift.settings import Settings, settings
from imageservice.stores.testing import Threads

IMAGE = "3b4e7a0c-6a25-4b8e-9d2e-0f6a1c2d3e4f"


def options(**changed: object) -> dict[str, object]:
    values = {opt.dest: opt.default for opt in Swift.OPTS}
    inline = {
        "swift_store_auth_address": "keystone.example:5000/v3/",
        "swift_store_user": "images:glance",
        "swift_store_key": "secret",
    }
    return {**values, **inline, **changed}


def made(**changed: object) -> Settings:
    return settings("cloud", options(**changed))


def test_inline_options_are_the_account_of_the_default_reference():
    login = made().logins["ref1"]

    assert login.address == "https://keystone.example:5000/v3"
    assert (login.project_name, login.user, login.key) == ("images", "glance", "secret")
    assert (login.user_domain_id, login.project_domain_id) == ("default", "default")
    assert "secret" not in repr(login)


def test_a_references_file_names_accounts(tmp_path):
    path = tmp_path / "references"
    path.write_text(
        "[old]\nauth_address = http://k:5000\nuser = images:glance\nkey = 100%sure\n"
        "user_domain_name = People\n"
        "[new]\nauth_address = https://k:5000/v3\n"
        "application_credential_id = abc\napplication_credential_secret = def\n"
    )

    chosen = made(
        swift_store_config_file=str(path), default_swift_reference="new"
    ).logins

    assert (chosen["old"].key, chosen["old"].user_domain_id) == ("100%sure", None)
    assert chosen["old"].address == "http://k:5000/v3"
    assert (chosen["new"].credential, chosen["new"].secret) == ("abc", "def")


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (
            {"swift_store_multi_tenant": True, "swift_store_auth_version": "1"},
            "swift_store_multi_tenant",
        ),
        ({"swift_buffer_on_upload": True}, "swift_buffer_on_upload"),
        ({"swift_store_auth_address": None}, "swift_store_auth_address"),
        ({"swift_store_user": None}, "swift_store_user"),
        ({"swift_store_user": "nobody"}, "swift_store_user"),
        ({"swift_store_key": None}, "swift_store_key"),
        ({"swift_store_application_credential_id": "x"}, "belong together"),
        ({"swift_store_container": "a/b"}, "swift_store_container"),
        ({"swift_store_container": ""}, "swift_store_container"),
        ({"swift_store_config_file": "/nowhere"}, "/nowhere"),
        ({"swift_store_cacert": "/nowhere"}, "swift_store_cacert"),
        ({"default_swift_reference": "a/b"}, "default_swift_reference"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_refused_by_name(changed, word):
    with pytest.raises(errors.Misconfigured, match=word) as raised:
        made(**changed)

    assert "cloud" in str(raised.value)


@pytest.mark.parametrize(
    "text", ["no section", "[a]\nkey = geheim\n[a]\n", "[ref2]\nauth_address = x\n"]
)
def test_a_bad_references_file_is_refused_without_its_secrets(tmp_path, text):
    path = tmp_path / "references"
    path.write_text(text)

    with pytest.raises(errors.Misconfigured) as raised:
        made(swift_store_config_file=str(path))

    assert str(path) in str(raised.value)
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "container"),
    [
        (f"swift+config://ref1/images/{IMAGE}", "images"),
        (f"swift+config://ref1/older/{IMAGE}", "older"),
        (f"swift+https://a%3Ab:key@k.example:5000/v3/images/{IMAGE}", "images"),
        (f"swift://a%3Ab:key@k.example/images_3b/{IMAGE}", "images_3b"),
        (f"swift+http://a%3Ab:key@k.example/v2.0/images/{IMAGE}", "images"),
    ],
)
def test_locations_of_the_incumbent_are_understood(url, container):
    place = names.locate("cloud", url, "images", "ref1")

    assert place == names.Place("ref1", container, IMAGE)
    assert "key" not in place.url


@pytest.mark.parametrize("etag", [None, "0" * 32])
def test_a_place_in_a_projects_account_has_a_location(etag):
    place = names.Place("ref1", "images", IMAGE, "0af3", etag)

    assert names.locate("cloud", place.url, "images", "ref1") == place


@pytest.mark.parametrize("container", ["images", f"images_{IMAGE}"])
def test_the_incumbents_locations_in_projects_accounts_are_understood(container):
    url = f"swift+https://swift.example:8080/v1/AUTH_0af3/{container}/{IMAGE}"

    place = names.locate("cloud", url, "images", "ref1", tenants=True)

    assert place == names.Place("ref1", container, IMAGE, "0af3")
    assert "example" not in place.url


@pytest.mark.parametrize(
    "url",
    [
        f"swift+https://swift.example/v1/AUTH_0af3/secrets/{IMAGE}",
        f"swift+https://swift.example/v1/AUTH_0af3/images_other/{IMAGE}",
        f"swift+https://swift.example/v1/AUTH_/images/{IMAGE}",
        f"swift+config://ref1/a_b/images/{IMAGE}/-",
        f"swift+config://ref1/../images/{IMAGE}/-",
        f"swift+config://ref1/0af3/images/{IMAGE}/etag",
        f"swift+config://ref1/0af3/images/{IMAGE}/",
        f"swift+config://ref1/0af3/images/{IMAGE}/-/x",
    ],
)
def test_other_places_in_projects_accounts_are_refused(url):
    with pytest.raises(errors.LocationInvalid):
        names.locate("cloud", url, "images", "ref1", tenants=True)


@pytest.mark.parametrize(
    "url",
    [
        f"swift+https://swift.example/v1/AUTH_x/images_{IMAGE}/{IMAGE}",
        f"swift+https://u:k@host/v3/secrets/{IMAGE}",
        f"swift+https://u:k@host/v3/imagesold/{IMAGE}",
        f"swift+config://ref1/images/{IMAGE}/00000001",
        f"swift+config://ref1/images/{IMAGE}?x=1",
        "swift+config://ref1/images/..",
        f"swift+config://ref1/../{IMAGE}",
        f"swift+config://ref1/a%2Fb/{IMAGE}",
        "swift+config://ref1/images",
        "swift+config://ref1",
    ],
)
def test_other_locations_are_refused(url):
    with pytest.raises(errors.LocationInvalid):
        names.locate("cloud", url, "images", "ref1")


def test_a_reference_that_is_not_in_the_file_is_refused():
    driver = Swift.configured("cloud", options(), Threads())

    with pytest.raises(errors.LocationInvalid):
        driver.read(f"swift+config://other/images/{IMAGE}")


@pytest.mark.parametrize(
    ("seed", "container"), [(0, "images"), (1, "images_3"), (10, "images_3b4e7a0c-6")]
)
def test_the_first_characters_of_an_image_choose_its_container(seed, container):
    assert names.container_of("images", seed, IMAGE) == container


@pytest.mark.parametrize(
    ("size", "segments"),
    [(None, None), (1, 1), (5 * 1024 * BLOCK, 26), (10**13, 1863), (10**12, 1000)],
)
def test_segments_are_few_enough_for_a_manifest(size, segments):
    driver = Swift.configured("cloud", options(), Threads())

    length = driver._segment(size)

    assert length <= 5 * 1024 * BLOCK
    if segments is None:
        assert length == 200 * BLOCK
    else:
        assert -(-size // length) == segments


@pytest.mark.parametrize("size", [None, 8000 * BLOCK, 9500 * BLOCK])
def test_no_segment_is_larger_than_swift_takes(size):
    large = {"swift_store_large_object_size": 9000}
    chunk = {"swift_store_large_object_chunk_size": 9000}

    driver = Swift.configured("cloud", options(**large, **chunk), Threads())

    assert driver._segment(size) == 5120 * BLOCK


def test_users_see_sizes_in_bytes():
    store = Swift.configured("cloud", options(), Threads())

    assert store.properties() == {
        "container": "glance",
        "large_object_size": 5368709120,
        "large_object_chunk_size": 209715200,
    }


def test_a_redirect_is_signed_over_the_path_that_swift_sees():
    driver = Swift.configured(
        "cloud",
        options(
            swift_store_redirect_endpoint="https://swift.example/v1/AUTH_abc",
            swift_store_temp_url_key="key",
            swift_store_temp_url_digest="sha1",
        ),
        Threads(),
    )

    url = urlsplit(driver.redirect("swift+config://ref1/glance/odd%20key", 60))
    query = {name: value for name, [value] in parse_qs(url.query).items()}

    assert (url.netloc, url.path) == (
        "swift.example",
        "/v1/AUTH_abc/glance/odd%2520key",
    )
    signed = f"GET\n{query['temp_url_expires']}\n/v1/AUTH_abc/glance/odd%20key"
    expected = hmac.new(b"key", signed.encode(), "sha1").hexdigest()
    assert query["temp_url_sig"] == expected
    assert 50 < int(query["temp_url_expires"]) - time.time() <= 60
