"""``imageservice-manage stores audit``: what is wrong is found, and mended if asked."""

import os
import shlex
import subprocess
import uuid

import pytest

from imageservice.cmd import manage
from imageservice.stores.folders import MARK


def damage(place, store, image_id, data=b"dxta"):
    path = place.file(store, image_id)
    path.chmod(0o600)
    path.write_bytes(data)


@pytest.fixture
def healthy(place):
    """Enough that is right for one thing that is wrong to be believed."""
    return [place.upload("near", "far") for _ in range(3)]


@pytest.mark.parametrize("words", [(), ("--digest",), ("--repair", "--digest")])
def test_what_is_right_is_left_alone(place, healthy, words):
    answer = place.audit(*words)

    assert (answer.code, answer.findings) == (0, [])
    counts = {line["store"]: line for line in answer.of("store")}
    assert (counts["near"]["rows"], counts["near"]["objects"]) == (3, 3)
    assert place.held("near") == place.held("far") == sorted(healthy)


def test_a_row_without_bytes_is_found_and_mended_from_another_store(place, healthy):
    place.file("near", healthy[0]).unlink()

    assert place.audit().findings == [("near", "missing", healthy[0], "found")]
    would = place.audit("--repair", "--dry-run")
    assert would.code == 3
    assert would.findings == [("near", "missing", healthy[0], "would replace")]
    assert not place.file("near", healthy[0]).exists()

    done = place.audit("--repair")

    assert done.code == 0
    assert done.findings == [("near", "missing", healthy[0], "replaced")]
    assert place.file("near", healthy[0]).read_bytes() == b"data"
    assert place.stores_of(healthy[0]) == ["far", "near"]
    assert place.audit("--digest").code == 0


def test_content_that_changed_is_found_by_its_digest_only(place, healthy):
    damage(place, "far", healthy[1])

    assert place.audit().code == 0
    assert place.audit("--digest").findings == [("far", "content", healthy[1], "found")]
    assert place.audit("--digest", "--repair").findings == [
        ("far", "content", healthy[1], "replaced")
    ]
    assert place.file("far", healthy[1]).read_bytes() == b"data"


def test_a_wrong_size_is_found_without_reading(place, healthy):
    damage(place, "near", healthy[2], b"dat")

    answer = place.audit("--repair")

    assert answer.findings == [("near", "size", healthy[2], "replaced")]
    assert place.audit("--digest").code == 0


def test_a_copy_is_never_replaced_from_a_bad_one(place, healthy):
    damage(place, "near", healthy[0], b"dat")
    damage(place, "far", healthy[0], b"dxta")

    answer = place.audit("--repair", "--digest")

    assert answer.code == 3
    assert {line["outcome"] for line in answer.of("finding")} == {"no good copy"}
    assert place.file("near", healthy[0]).read_bytes() == b"dat"
    assert place.stores_of(healthy[0]) == ["far", "near"]


def test_the_only_copy_is_kept_whatever_it_is(place, healthy):
    alone = place.upload("near")
    damage(place, "near", alone)

    answer = place.audit("--repair", "--digest")

    assert answer.findings == [("near", "content", alone, "no good copy")]
    assert place.file("near", alone).read_bytes() == b"dxta"


def test_bytes_of_no_image_are_removed_and_their_id_is_burned(place, healthy):
    orphan = str(uuid.uuid4())
    place.file("near", orphan).write_bytes(b"left")
    healthy.append(place.upload("near"))

    assert place.audit("--dry-run").findings == [
        ("near", "orphan", orphan, "would remove")
    ]
    assert place.file("near", orphan).exists()
    assert place.audit("--repair").findings == [("near", "orphan", orphan, "removed")]
    assert place.held("near") == sorted(healthy)
    with place.tools() as tools:
        assert not tools.inventory.state(orphan).status
    with pytest.raises(Exception, match="used once"):
        place.upload("near", id=orphan)


def test_a_copy_that_no_row_names_goes_and_the_image_stays(place, healthy):
    image_id = place.upload("near")
    place.file("far", image_id).write_bytes(b"old")
    place.upload("far")

    answer = place.audit("--repair")

    assert answer.findings == [("far", "orphan", image_id, "removed")]
    assert place.stores_of(image_id) == ["near"]
    assert place.file("near", image_id).read_bytes() == b"data"


def test_what_an_unfinished_write_left_is_removed(place, healthy):
    dead = str(uuid.uuid4())
    place.file("near", f".{dead}.0123456789abcdef").write_bytes(b"half")

    assert place.audit("--repair").findings == [("near", "leftover", dead, "removed")]
    assert place.held("near") == sorted(healthy)


def test_what_is_young_or_somebody_elses_is_left(place, healthy):
    place.file("near", str(uuid.uuid4())).write_bytes(b"young")
    place.file("near", "README").write_bytes(b"not ours")
    held = place.held("near")

    answer = place.manage("audit", "--repair")

    assert (answer.code, answer.findings) == (0, [])
    (counts,) = [line for line in answer.of("store") if line["store"] == "near"]
    assert (counts["young"], counts["foreign"]) == (1, 1)
    assert place.held("near") == held


@pytest.mark.parametrize("words", [(), ("--repair",)])
def test_a_store_that_looks_empty_is_refused(place, healthy, words):
    for image_id in healthy[:2]:
        place.file("near", image_id).unlink()

    answer = place.audit(*words)

    assert answer.code == 1
    errors = {line["store"]: line["error"] for line in answer.of("store")}
    assert "only 1 of its 3 copies are listed" in errors["near"]
    assert errors["far"] is None
    assert answer.findings == []
    assert len(place.audit("--force").findings) == 2


def test_a_store_that_is_not_mounted_is_refused(place, healthy):
    os.rename(place.root / "near", place.root / "away")
    (place.root / "near").mkdir()

    answer = place.audit("--repair", "--force")

    assert answer.code == 1
    assert "not mounted" in answer.of("store")[0]["error"]
    assert answer.findings == []


def test_the_wrong_database_removes_nothing(place, healthy, tmp_path):
    other = tmp_path / "other.sqlite"
    text = place.conf.read_text()
    lines = [
        f"connection = sqlite:///{other}" if line.startswith("connection") else line
        for line in text.splitlines()
    ]
    place.conf.write_text("\n".join(lines))
    assert manage.main(["--config-file", str(place.conf), "db", "sync"]) == 0

    answer = place.audit("--repair")

    assert answer.code == 1
    assert "3 of its 3 objects belong to no image" in answer.of("store")[0]["error"]
    assert place.held("near") == sorted(healthy)


def test_the_table_is_for_people(place, healthy, capsys):
    damage(place, "near", healthy[0], b"dat")

    assert manage.main(place.words("audit", "--store", "near")) == 3

    said = capsys.readouterr().out
    assert f"near: size {healthy[0]} (3 bytes, recorded are 4)" in said
    head, row, advice = said.splitlines()[-3:]
    assert head.split()[:3] == ["store", "rows", "objects"]
    assert row.split()[:3] == ["near", "3", "3"]
    assert "--repair mends it" in advice


def test_what_nothing_can_mend_is_told_with_what_to_do(place, healthy, capsys):
    damage(place, "near", healthy[0], b"dat")
    damage(place, "far", healthy[0], b"dat")
    (place.root / "spare" / MARK).unlink()

    assert manage.main(place.words("audit", "--repair")) == 1

    trouble, advice = capsys.readouterr().out.splitlines()[-2:]
    assert trouble.startswith("spare: not audited to its end: Store 'spare' is not")
    assert "backup" in advice


def test_bytes_are_counted_for_the_store_in_which_they_were_read(place, healthy):
    counts = {line["store"]: line for line in place.audit("--digest").of("store")}

    read = {store: line["read"] for store, line in counts.items()}
    assert read == {"near": 12, "far": 12, "spare": 0}


def test_a_listing_that_does_not_fit_is_told_with_where_to_put_it(place, healthy):
    for number in range(400):
        place.file("near", str(uuid.UUID(int=number))).touch()
    line = " ".join(map(shlex.quote, place.command("audit", "--store", "near")))

    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 32; exec {line}"],  # KiB that a file may have
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    assert "TMPDIR" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_trouble(place, healthy):
    line = " ".join(map(shlex.quote, place.command("audit")))
    # The reader is gone before the table comes, whatever the two processes are given.
    done = subprocess.run(
        ["bash", "-c", f"{line} > >(exec true)"], capture_output=True, check=False
    )

    assert b"Traceback" not in done.stderr
