"""The options of a file store: what they mean, and what contradicts itself."""

import json

import pytest

from imageservice import errors
from imageservice.stores import layout
from imageservice.stores.driver import BLOCK


def laid_out(**options):
    return layout.layout("disk", options)


def test_without_options_the_folder_is_the_usual_one():
    assert laid_out().folders == ((layout.DEFAULT_FOLDER, 0),)


def test_several_folders_need_no_single_one():
    plan = laid_out(filesystem_store_datadirs=["/a:200", "/b", "/c:d:-1"])

    assert plan.folders == (("/a", 200), ("/b", 0), ("/c:d", -1))


@pytest.mark.parametrize("size", [1, 65536, BLOCK, 3 * BLOCK, 10**9])
def test_blocks_are_between_one_and_four_mebibytes(size):
    assert BLOCK <= laid_out(filesystem_store_chunk_size=size).block <= 4 * BLOCK


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param(
            {"filesystem_store_datadir": "/a", "filesystem_store_datadirs": ["/b"]},
            "either",
            id="both",
        ),
        pytest.param({"filesystem_store_datadir": "a"}, "absolute", id="relative"),
        pytest.param(
            {"filesystem_store_datadirs": ["/a:1", "/a/:2"]},
            "two priorities",
            id="two-priorities",
        ),
        pytest.param({"filesystem_store_file_perm": 999}, "octal", id="not-octal"),
        pytest.param({"filesystem_store_file_perm": 40}, "reading", id="unreadable"),
        pytest.param(
            {"filesystem_store_metadata_file": "/nowhere"}, "read", id="no-file"
        ),
    ],
)
def test_a_contradiction_names_the_store_and_the_remedy(options, says):
    with pytest.raises(errors.Misconfigured, match=says) as refused:
        laid_out(**options)

    assert "'disk'" in str(refused.value)


def metadata_file(tmp_path, content) -> str:
    path = tmp_path / "mounts.json"
    path.write_text(json.dumps(content))
    return str(path)


NFS = {"id": "f0d781", "mountpoint": "/mnt/images/"}


@pytest.mark.parametrize("content", [NFS, [{"id": "x", "mountpoint": "/mnt/im"}, NFS]])
def test_locations_get_the_metadata_of_their_mount(tmp_path, content):
    plan = laid_out(filesystem_store_metadata_file=metadata_file(tmp_path, content))

    assert layout.metadata(plan, "/mnt/images/fast") == NFS
    assert layout.metadata(plan, "/mnt/images") == NFS
    assert layout.metadata(plan, "/mnt/images2") == {}


@pytest.mark.parametrize(
    "content", [5, [{}], {"id": 5, "mountpoint": "/"}, {"id": "x", "mountpoint": "mnt"}]
)
def test_a_metadata_file_of_another_shape_is_refused(tmp_path, content):
    with pytest.raises(errors.Misconfigured, match="mountpoint"):
        laid_out(filesystem_store_metadata_file=metadata_file(tmp_path, content))
