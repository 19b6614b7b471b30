"""Which stores a configuration gives, and the words for one that gives none."""

import sys

import pytest
from oslo_config import cfg

from imageservice import errors
from imageservice.stores import configuration
from imageservice.stores.driver import Capability
from imageservice.stores.memory import Memory
from imageservice.stores.registry import Store, Stores
from imageservice.stores.testing import Threads


@pytest.fixture
def configured(tmp_path):
    def configured(text: str) -> Stores:
        path = tmp_path / "imageservice.conf"
        path.write_text(text)
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[str(path)])
        return configuration.stores(conf, Threads())

    return configured


SEVERAL = """
[DEFAULT]
enabled_backends = fast:file, cold:filesystem, ram:memory
[glance_store]
default_backend = cold
[fast]
filesystem_store_datadir = /srv/fast
store_description = Flash
weight = 7
[cold]
filesystem_store_datadir = /srv/cold
filesystem_thin_provisioning = true
"""


def test_several_stores_keep_their_order_and_options(configured):
    stores = configured(SEVERAL)

    assert stores.multi
    assert [store.id for store in stores.all] == ["fast", "cold", "ram"]
    assert [store.kind for store in stores.all] == ["file", "file", "memory"]
    assert stores.default.id == "cold"
    assert stores.get("fast").description == "Flash"
    assert stores.get("fast").properties["data_dir"] == "/srv/fast"
    assert stores.get("cold").properties["thin_provisioning"] is True


def test_defaults_for_all_stores_yield_to_a_stores_own(configured):
    stores = configured(
        SEVERAL + "[backend_defaults]\nfilesystem_thin_provisioning = true\n"
        "filesystem_store_datadir = /srv/elsewhere\n"
        "weight = 99\nstore_description = no\n"
    )

    fast = stores.get("fast")
    assert fast.properties["thin_provisioning"] is True
    assert fast.properties["data_dir"] == "/srv/fast"
    assert stores.get("cold").weight == 0
    assert stores.get("cold").description is None


def test_folders_of_a_store_replace_the_folder_of_the_defaults(configured):
    stores = configured(
        "[DEFAULT]\nenabled_backends = a:file, b:file, c:file\n"
        "[glance_store]\ndefault_backend = a\n"
        "[backend_defaults]\nfilesystem_store_datadir = /srv/all\n"
        "[a]\nfilesystem_store_datadirs = /srv/a1:7\nfilesystem_store_datadirs = /srv/a2\n"
        "[b]\nfilesystem_store_datadir = /srv/b\n"
    )

    claims = [list(store.driver.claims()) for store in stores.all]
    assert claims == [["/srv/a1", "/srv/a2"], ["/srv/b"], ["/srv/all"]]


@pytest.mark.parametrize(
    "kind", ["", "default_store = file\n", "default_store = filesystem\n"]
)
def test_without_backends_there_is_a_single_file_store(configured, kind):
    stores = configured(
        f"[glance_store]\n{kind}filesystem_store_datadir = /srv/images\n"
    )

    assert not stores.multi
    assert stores.default.id == "file"
    assert stores.writable(None).properties["data_dir"] == "/srv/images"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        pytest.param("", ["file", "http"], id="nothing"),
        pytest.param("default_store = memory", ["memory", "http"], id="default"),
        pytest.param("stores = memory", ["file", "memory"], id="another"),
        pytest.param("stores = filesystem, http, memory", ["file", "http", "memory"], id="alias"),
        pytest.param("stores =", ["file"], id="none"),
    ],
)  # fmt: skip
def test_the_kinds_of_stores_are_read_beside_the_single_one(configured, text, ids):
    stores = configured(f"[glance_store]\n{text}\n")

    assert not stores.multi
    assert [store.id for store in stores.all] == ids
    assert stores.default.id == ids[0]


def test_old_web_locations_are_read_without_several_stores(configured):
    stores = configured("[glance_store]\nfilesystem_store_datadir = /srv/images\n")

    assert stores.holding("", "http://web.example/disk").id == "http"
    assert stores.holding("", "file:///srv/images/disk").id == "file"


def test_a_library_that_is_missing_breaks_a_store_beside_the_single_one(
    configured, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "imageservice.stores.memory", None)

    stores = configured("[glance_store]\nstores = memory\n")

    assert "[glance_store] stores: " in caplog.text
    assert stores.get("memory").read_only
    assert not stores.default.read_only


def test_an_unknown_store_is_refused_with_those_that_exist(configured):
    stores = configured(SEVERAL)

    for call in (stores.get, stores.writable):
        with pytest.raises(errors.StoreUnknown, match="fast, cold, ram"):
            call("other")
    assert stores.weight("other") == 0
    assert stores.weight("fast") == 7


S3 = """s3_store_host = https://s3.example.net
s3_store_bucket = images
s3_store_access_key = who
s3_store_secret_key = whose
"""


@pytest.mark.parametrize(
    ("asked", "lifetime_s"),
    [
        ("", None),
        ("redirect = true", 60),
        ("redirect = true\nredirect_lifetime = 5", 5),
    ],
)
def test_a_store_redirects_only_if_told_to(configured, asked, lifetime_s):
    several = (
        "[DEFAULT]\nenabled_backends = a:s3\n[glance_store]\ndefault_backend = a\n[a]"
    )
    single = "[glance_store]\ndefault_store = s3"

    for begin in (several, single):
        stores = configured(f"{begin}\n{S3}{asked}\n")
        assert stores.default.redirect_s == lifetime_s


def test_defaults_redirect_the_stores_that_can(configured):
    stores = configured(
        "[DEFAULT]\nenabled_backends = a:s3, b:s3, c:file\n"
        "[glance_store]\ndefault_backend = a\n"
        "[backend_defaults]\nredirect = true\nredirect_lifetime = 5\n"
        f"[a]\n{S3}[b]\n{S3.replace('images', 'others')}redirect = false\n"
    )

    assert [store.redirect_s for store in stores.all] == [5, None, None]


def test_a_store_without_writing_takes_no_data():
    class Frozen(Memory):
        capabilities = Capability.READ

    stores = Stores([Store("old", Frozen("old", Threads()), default=True)], multi=True)

    assert stores.default.read_only
    with pytest.raises(errors.StoreReadOnly):
        stores.writable("old")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            "enabled_backends = a:file", "default_backend is not set", id="unset"
        ),
        pytest.param(
            "enabled_backends = a:file\n[glance_store]\ndefault_backend = b",
            "set it to one of a",
            id="unknown-default",
        ),
        pytest.param(
            "enabled_backends = a:tape\n[glance_store]\ndefault_backend = a",
            "no kind of store 'tape'",
            id="unknown-kind",
        ),
        pytest.param(
            "[glance_store]\nstores = file,sheepdog",
            r"\[glance_store\] stores: there is no kind of store 'sheepdog'",
            id="unknown-kind-beside",
        ),
        pytest.param(
            "enabled_backends = os_glance_x:file\n[glance_store]\ndefault_backend = os_glance_x",
            "reserved",
            id="reserved",
        ),
        pytest.param(
            "enabled_backends = a:file\n[glance_store]\ndefault_backend = a\n"
            "[a]\nredirect = true",
            "store 'a': redirect: a store of kind file cannot",
            id="no-redirect",
        ),
        pytest.param(
            "enabled_backends = a:file,b:file\n[glance_store]\ndefault_backend = a",
            "'a' and 'b' both use /var/lib/glance/images",
            id="same-folder",
        ),
        pytest.param(
            "enabled_backends = a:file\n[glance_store]\ndefault_backend = a\n"
            "[a]\nfilesystem_store_file_perm = 888",
            "filesystem_store_file_perm",
            id="bad-option",
        ),
    ],
)
def test_what_cannot_work_ends_the_start_in_one_line(configured, text, says):
    with pytest.raises(errors.Misconfigured, match=says) as refused:
        configured(f"[DEFAULT]\n{text}\n")

    assert "\n" not in str(refused.value)


def test_a_missing_library_names_the_extra(configured, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageservice.stores.memory", None)

    with pytest.raises(
        errors.Misconfigured, match=r"pip install 'imageservice\[memory\]'"
    ):
        configured("[glance_store]\ndefault_store = memory\n")


def test_without_its_library_a_store_that_is_not_the_default_is_broken(
    configured, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "imageservice.stores.memory", None)

    stores = configured(SEVERAL)

    assert "pip install 'imageservice[memory]'" in caplog.text
    assert stores.get("ram").kind == "memory"
    with pytest.raises(errors.StoreReadOnly):
        stores.writable("ram")
    with pytest.raises(errors.StoreUnavailable, match=r"'ram'.*library"):
        stores.get("ram").driver.read("memory://ram/key")
    assert stores.writable("fast").id == "fast"


WEB = """
[DEFAULT]
enabled_backends = ram:memory, web:http
[glance_store]
default_backend = ram
[web]
http_store_read_timeout = 7
[backend_defaults]
http_store_connect_timeout = 3
"""


def test_a_store_gets_the_options_that_it_shares_with_others(configured):
    stores = configured(WEB + "[import_filtering_opts]\nallowed_ports = 8080\n")

    fetcher = stores.get("web").driver._fetcher
    assert (fetcher.limits.connect_s, fetcher.limits.read_s) == (3, 7)
    assert fetcher.rules.allowed_ports == {8080}


def test_shared_options_are_checked_at_the_start(configured):
    with pytest.raises(errors.Misconfigured, match="disallowed_networks: 'lan'"):
        configured(WEB + "[import_filtering_opts]\ndisallowed_networks = lan\n")


def test_the_http_store_takes_no_data(configured):
    with pytest.raises(errors.StoreReadOnly):
        configured(WEB).writable("web")


def test_one_http_store_is_enough(configured):
    with pytest.raises(errors.Misconfigured, match="'web' and 'other' both use"):
        configured(WEB.replace("web:http", "web:http, other:http"))
