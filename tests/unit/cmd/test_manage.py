"""``imageservice-manage`` beyond the database: see tests/db for that."""

import pytest

from imageservice import describe
from imageservice.cmd import manage


@pytest.fixture
def conf_file(tmp_path):
    path = tmp_path / "api.conf"
    path.write_text(
        "[DEFAULT]\nenabled_backends = a:file, b:file\n"
        "[glance_store]\ndefault_backend = a\n"
        f"[a]\nfilesystem_store_datadir = {tmp_path}/a\n"
        f"[b]\nfilesystem_store_datadir = {tmp_path}/b\n"
    )
    return str(path)


def test_stores_create_makes_the_folders_of_new_stores(conf_file, tmp_path, capsys):
    assert manage.main(["--config-file", conf_file, "stores", "create"]) == 0

    assert (tmp_path / "a").is_dir()
    assert (tmp_path / "b").is_dir()
    assert "Store b (file) is ready." in capsys.readouterr().out


def test_stores_create_says_why_it_cannot(conf_file, tmp_path, capsys, caplog):
    (tmp_path / "b").write_text("a file, where a folder should be")

    assert manage.main(["--config-file", conf_file, "stores", "create"]) == 1

    assert "Store 'b' is not available: File exists" in capsys.readouterr().err
    assert f"File exists in {tmp_path}/b" in caplog.text


def test_operations_prints_the_page_of_the_documentation(capsys):
    assert manage.main(["operations"]) == 0

    assert capsys.readouterr().out == describe.operations()


def test_help_is_about_what_an_operator_has(capsys):
    with pytest.raises(SystemExit):
        manage.main(["--help"])

    help_text = capsys.readouterr().out
    assert "database, stores and usage" in " ".join(help_text.split())
    assert "contract" not in help_text
