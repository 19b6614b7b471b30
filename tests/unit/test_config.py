"""Where configuration comes from, and what is wrong with it in one line."""

import logging
import stat
import sys

import pytest

from imageservice import config, errors
from imageservice.layers.quota import Limits


@pytest.fixture
def written(tmp_path):
    """Write a configuration file and return its path."""

    def write(text, name="api.conf"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture(autouse=True)
def _nothing_installed(monkeypatch, tmp_path):
    """Keep the machine's own configuration out of the tests."""
    for variable in config.FOLDER_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(config, "FOLDER", str(tmp_path / "etc"))


def test_options_are_read_from_the_file(written):
    conf = config.load([written("[DEFAULT]\nimage_tag_quota = 7\n")])

    assert Limits.of(conf).image_tag_quota == 7
    assert not config.is_development(conf)


def test_a_later_file_wins(written):
    first = written("[DEFAULT]\nbind_port = 1\nworkers = 3\n", "a.conf")
    second = written("[DEFAULT]\nbind_port = 2\n", "b.conf")

    conf = config.load([first, second])

    assert (conf.bind_port, conf.workers) == (2, 3)
    assert config.files(conf) == [first, second]


def test_the_command_line_wins_over_files(written):
    path = written("[DEFAULT]\nbind_port = 1\n")

    conf = config.load(args=["--config-file", str(path), "--bind-port", "2"])

    assert conf.bind_port == 2


@pytest.mark.parametrize("variable", config.FOLDER_VARIABLES)
def test_the_folder_can_be_named_by_the_environment(monkeypatch, tmp_path, variable):
    (tmp_path / "imageservice-api.conf").write_text("[DEFAULT]\nbind_port = 1\n")
    (tmp_path / "imageservice-image-import.conf").write_text(
        "[DEFAULT]\nbind_port = 2\nworkers = 4\n"
    )
    (tmp_path / "imageservice-api.conf.d").mkdir()
    (tmp_path / "imageservice-api.conf.d" / "x.conf").write_text(
        "[DEFAULT]\nbind_host = 10.0.0.1\n"
    )
    monkeypatch.setenv(variable, str(tmp_path))

    conf = config.load()

    assert (conf.bind_port, conf.workers, conf.bind_host) == (1, 4, "10.0.0.1")


def test_tools_have_a_file_of_their_own_after_that_of_the_daemon(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGESERVICE_CONFIG_DIR", str(tmp_path))
    (tmp_path / "imageservice-api.conf").write_text("[DEFAULT]\nworkers = 1\n")
    (tmp_path / "imageservice-manage.conf").write_text("[DEFAULT]\nworkers = 2\n")

    assert config.load(program="imageservice-manage").workers == 2


def test_a_named_folder_without_files_is_no_development_mode(monkeypatch, tmp_path):
    monkeypatch.setenv("IMAGESERVICE_CONFIG_DIR", str(tmp_path))

    with pytest.raises(errors.Misconfigured, match="there is no imageservice-api.conf"):
        config.load()


# --- development mode ---


def test_without_any_configuration_everything_lies_in_one_private_folder(tmp_path):
    data = tmp_path / "data"

    conf = config.load(args=["--data-dir", str(data)])

    assert config.is_development(conf)
    assert conf.bind_host == "127.0.0.1"
    assert conf.glance_store.filesystem_store_datadir == f"{data}/images"
    assert config.database_url(conf) == f"sqlite:///{data}/imageservice.sqlite"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_a_file_that_leaves_the_database_out_is_refused(written):
    conf = config.load([written("[DEFAULT]\nworkers = 1\n")])

    with pytest.raises(
        errors.Misconfigured, match=r"api.conf, \[database\] connection"
    ):
        config.database_url(conf)


def test_a_file_may_ask_for_sqlite_in_the_data_folder(written, tmp_path):
    conf = config.load([written(f"[DEFAULT]\ndata_dir = {tmp_path}/d\n")])

    assert config.database_url(conf) == f"sqlite:///{tmp_path}/d/imageservice.sqlite"


# --- what is wrong, in one line ---


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "[DEFAULT]\n\n# ports\nbind_prot = 1\n",
            r"api.conf, line 4, \[DEFAULT\] bind_prot: there is no such option."
            r" Did you mean bind_port\?",
            id="unknown-option",
        ),
        pytest.param(
            "[databse]\nconnection = x\n",
            r"line 2, \[databse\] connection: there is no such section."
            r" Did you mean \[database\]\?",
            id="unknown-section",
        ),
        pytest.param(
            "[DEFAULT]\nbind_port = many\n",
            r"line 2, \[DEFAULT\] bind_port: .*many.*Correct the value",
            id="not-a-number",
        ),
        pytest.param(
            "[database]\nconnection = mysql://me:pass$word@h/d\n",
            r"line 2, \[database\] connection: '\$' and a word (?!.*pass).*Write '\$\$'",
            id="dollar-in-a-password",
        ),
        pytest.param(
            "[DEFAULT]\nimage_size_cap = 0\n",
            r"line 2, \[DEFAULT\] image_size_cap: .*equal to 1\.",
            id="out-of-range",
        ),
        pytest.param(
            "[DEFAULT]\nhashing_algorithm = sha-good\n",
            r"hashing_algorithm: 'sha-good' is not a hash",
            id="unknown-hash",
        ),
        pytest.param(
            "[DEFAULT]\nhashing_algorithm = shake_128\n",
            r"hashing_algorithm: 'shake_128' is not a hash with a fixed length",
            id="hash-without-length",
        ),
        pytest.param(
            "[DEFAULT]\nnothing\n", r"api.conf.*:2, No ':' or '='", id="syntax"
        ),
        pytest.param(
            "[DEFAULT]\nowner_is_tenant = false\n",
            r"owner_is_tenant: images belong to projects.*Remove the option",
            id="owners-are-users",
        ),
        pytest.param(
            "[DEFAULT]\nproperty_protection_rule_format = rules\n",
            r"property_protection_rule_format: .*policies",
            id="no-such-format",
        ),
        pytest.param(
            "[DEFAULT]\nuser_storage_quota = 5 GB\n",
            r"line 2, \[DEFAULT\] user_storage_quota: .5 GB. is not a whole number",
            id="✗33-quota",
        ),
        pytest.param(
            "[DEFAULT]\nenabled_backends = a:floppy\n",
            r"store 'a': there is no kind of store 'floppy'",
            id="unknown-kind-of-store",
        ),
        pytest.param(
            "[DEFAULT]\nenabled_backends = a:file\n[a]\nwieght = 3\n",
            r"line 4, \[a\] wieght.*Did you mean weight\?",
            id="option-of-a-store",
        ),
        pytest.param(
            "[DEFAULT]\nenabled_backends = a:file\n[a]\nweight = high\n",
            r"line 4, \[a\] weight: .*high.*Correct the value",
            id="value-of-a-store",
        ),
        pytest.param(
            "[DEFAULT]\nenabled_backends = a:memory\n[a]\nmemory_store_size = -1\n",
            r"line 4, \[a\] memory_store_size: .*Correct the value",
            id="value-of-a-driver",
        ),
        pytest.param(
            "[DEFAULT]\nenabled_backends = a:s3\n[a]\ns3_store_secret_key = pa$word\n",
            r"line 4, \[a\] s3_store_secret_key: '\$' and a word (?!.*pa).*Write '\$\$'",
            id="dollar-in-a-key-of-a-store",
        ),
        pytest.param(
            "[DEFAULT]\nenabled_backends = a:memory\n"
            "[backend_defaults]\nmemory_store_size = much\n",
            r"line 4, \[backend_defaults\] memory_store_size: .*much",
            id="default-of-stores",
        ),
        pytest.param(
            "[glance_store]\ndefault_store = memory\nmemory_store_size = much\n",
            r"line 3, \[glance_store\] memory_store_size: .*much",
            id="value-of-the-single-store",
        ),
        pytest.param(
            "[cors.x]\nmax_aeg = 1\n", r"mean max_age\?", id="of-another-origin"
        ),
        pytest.param(
            "[oslo_policy]\npolicy_flie = x\n", r"mean policy_file\?", id="of-a-library"
        ),
    ],
)
def test_a_broken_file_ends_the_start_with_one_line(written, text, said):
    with pytest.raises(errors.Misconfigured, match=said) as raised:
        config.load([written(text)])

    assert "\n" not in str(raised.value)


def test_a_bad_argument_is_named():
    with pytest.raises(errors.Misconfigured, match="--bind-port: .*many"):
        config.load(args=["--bind-port", "many"])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(errors.Misconfigured, match=r"gone\.conf"):
        config.load([tmp_path / "gone.conf"])


@pytest.mark.parametrize(
    "text",
    [
        "[DEFAULT]\nowner_is_tenant = true\nuser_storage_quota = 0\n",
        "[DEFAULT]\ndebug = true\nlog-file = x\nuse_json = true\n",
        "[keystone_authtoken]\nauth_url = http://k/\nusername = x\nanything = y\n",
        "[cors]\nallowed_origin = http://x\n[cors.y]\nallowed_origin = http://y\n",
        "[profiler]\nenabled = true\nes_doc_type = x\nanything = y\n",
        "[audit_middleware_notifications]\nuse_oslo_messaging = false\n",
        "[oslo_middleware]\nenable_proxy_headers_parsing = true\n",
        "[backend_defaults]\nfilesystem_thin_provisioning = true\n",
        "[backend_defaults]\nredirect = true\nredirect_lifetime = 5\n",
        "[glance_store]\ndefault_store = s3\nredirect = true\nredirect_lifetime = 5\n",
        "[DEFAULT]\nenabled_backends = a:file\n[a]\nstore_description = fast\n",
        "[DEFAULT]\nenabled_backends = a:swift\n[a]\n"
        "swift_store_large_object_size = 9000\nswift_store_large_object_chunk_size = 9000\n",
        "[glance_store]\ndefault_store = file\nfilesystem_store_datadir = /x\n",
        "[image_format]\ndisk_formats = raw\nrequire_image_format_match = false\n",
    ],
)
def test_what_operators_have_in_their_files_is_taken(written, text, caplog):
    caplog.set_level(logging.WARNING)

    config.load([written(text)])

    assert caplog.text == ""


@pytest.mark.parametrize(
    "text",
    [
        "[DEFAULT]\nimage_cache_dir = /x\n",
        "[image_import_opts]\nmax_parallel_stores = 2\n",
        "[my_own_filter]\ncolour = red\n",
        "[backend_defaults]\nweight = 3\n",
        "[backend_defaults]\nstore_description = fast\n",
    ],
)
def test_what_has_no_effect_is_named_in_the_log(written, text, caplog):
    path = written(text)

    config.load([path])

    assert f"{path}, line 2, " in caplog.text


def test_the_kinds_beside_a_single_store_take_their_options(written):
    text = "[glance_store]\nstores = file,http,memory\nmemory_store_size = 7\n"

    assert config.load([written(text)]).glance_store.memory_store_size == 7


def test_a_folder_of_files_is_checked_too(tmp_path):
    (tmp_path / "10.conf").write_text("[DEFAULT]\nbind_prot = 1\n")

    with pytest.raises(errors.Misconfigured, match=r"10\.conf, line 2"):
        config.load(dirs=[tmp_path])


def test_no_option_is_both_ours_and_foreign():
    from imageservice import configfile, foreign

    ours = {
        (section, name)
        for section, options in config.SECTIONS
        for name in configfile.names(options)
    }

    assert not ours & {*foreign.WITHOUT_EFFECT, *foreign.REFUSED}
    assert not {section for section, _ in ours} & (foreign.SECTIONS | foreign.LIBRARIES)


def test_a_configuration_folder_without_files_is_no_development_mode(tmp_path):
    with pytest.raises(errors.Misconfigured, match=str(tmp_path)):
        config.load(args=["--config-dir", str(tmp_path)])


def test_without_a_library_the_sections_of_its_stores_are_left(written, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageservice.stores.memory", None)
    text = (
        "[DEFAULT]\nenabled_backends = a:file, b:memory\n[b]\nmemory_store_size = 7\n"
        "[backend_defaults]\nmemory_store_size = 8\n[a]\nweight = 1\n"
    )

    config.load([written(text)])

    with pytest.raises(errors.Misconfigured, match=r"Did you mean weight\?"):
        config.load([written(text.replace("weight", "wieght"))])
    with pytest.raises(errors.Misconfigured, match=r"\[b\] weight: .*high"):
        config.load([written(f"{text}[b]\nweight = high\n")])


def test_a_single_store_of_another_kind_takes_its_options(written):
    text = "[glance_store]\ndefault_store = memory\nmemory_store_size = 7\n"

    config.load([written(text)])

    with pytest.raises(errors.Misconfigured, match="memory_store_size"):
        config.load([written(text.replace("= memory\n", "= file\n"))])
