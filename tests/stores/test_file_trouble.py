"""The file store when disks are full, away, read-only, and requests are given up."""

import contextlib
import errno
import os
import shutil
import subprocess
import threading

import pytest

from imageservice import errors
from imageservice.stores.driver import BLOCK
from imageservice.stores.filesystem import File
from imageservice.stores.folders import MARK
from imageservice.stores.testing import (
    Interrupted,
    Pause,
    Stream,
    Threads,
    pattern,
    read_all,
)
from tests.stores.disks import memory_disk


def a_store(folder, workers=None, **options) -> File:
    options.setdefault("filesystem_store_datadir", str(folder))
    driver = File.configured("disk", options, workers or Threads())
    if all(os.path.isdir(path) for path in driver.claims()):
        driver.create()
    return driver


def names(folder) -> list[str]:
    return sorted(set(os.listdir(folder)) - {MARK})


def put(driver, key="key", data=b"data"):
    return driver.write(key, Stream(data), len(data)).url


# --- folders that are away ---


def test_a_missing_folder_is_refused_by_name_and_not_made(tmp_path, caplog):
    folder = tmp_path / "images"
    driver = a_store(folder)

    for call in (
        driver.check,
        lambda: put(driver),
        lambda: driver.read(f"file://{folder}/key"),
        lambda: driver.delete(f"file://{folder}/key"),
        lambda: driver.discard("key"),
    ):
        caplog.clear()
        # The log names the folder; what callers read names the store alone.
        with pytest.raises(errors.StoreUnavailable) as raised:
            call()
        assert str(raised.value).endswith("its data folder is missing")
        assert str(folder) in caplog.text

    assert not folder.exists()


def test_a_folder_that_comes_back_is_used_again(tmp_path):
    folder, away = tmp_path / "images", tmp_path / "away"
    driver = a_store(folder)
    driver.create()
    url = put(driver)

    folder.rename(away)
    with pytest.raises(errors.StoreUnavailable):
        driver.read(url)
    away.rename(folder)

    assert read_all(driver, url) == b"data"


def test_an_empty_mount_point_is_not_taken_for_the_disk(tmp_path):
    folder, away = tmp_path / "images", tmp_path / "away"
    driver = a_store(folder)
    driver.create()
    url = put(driver)

    folder.rename(away)
    folder.mkdir()
    for call in (
        lambda: driver.read(url),
        lambda: driver.delete(url),
        lambda: put(driver, "other"),
    ):
        with pytest.raises(errors.StoreUnavailable, match="not mounted"):
            call()

    assert os.listdir(folder) == []


def test_a_restart_does_not_take_the_mount_point_for_the_disk_either(tmp_path):
    options = {"filesystem_store_datadir": str(tmp_path)}
    restarted = File.configured("disk", options, Threads())

    with pytest.raises(errors.StoreUnavailable, match="not mounted"):
        put(restarted)

    assert os.listdir(tmp_path) == []


def test_a_folder_with_images_of_another_service_is_taken_over_once_it_is_said(
    tmp_path,
):
    (tmp_path / "key").write_bytes(b"theirs")
    options = {"filesystem_store_datadir": str(tmp_path)}
    driver = File.configured("disk", options, Threads())
    url = f"file://{tmp_path}/key"

    with pytest.raises(errors.StoreUnavailable):
        driver.read(url)
    driver.create()

    assert read_all(driver, url) == b"theirs"


def test_a_folder_that_goes_during_a_write_keeps_no_part(tmp_path):
    folder, away = tmp_path / "images", tmp_path / "away"
    driver = a_store(folder)
    driver.create()

    def go():
        folder.rename(away)

    with contextlib.suppress(errors.Error):
        driver.write("key", Stream(pattern(2 * BLOCK), at=BLOCK, then=go), None)

    # It went by another name, but is the folder that was opened: either way is whole.
    assert names(away) in ([], ["key"])
    assert not folder.exists()


# --- disks that are full or refuse ---


def freeze(folder, flag) -> subprocess.CompletedProcess:
    """Forbid all changes of a folder's entries (+i), or allow them again (-i)."""
    return subprocess.run(["chattr", flag, str(folder)], capture_output=True)


def test_what_cannot_be_removed_after_a_failure_is_said_and_discarded_later(tmp_path):
    driver = a_store(tmp_path)
    if freeze(tmp_path, "+i").returncode or freeze(tmp_path, "-i").returncode:
        pytest.skip("chattr +i needs root, and ext4 or a like file system, in TMPDIR")

    def freeze_and_fail():
        freeze(tmp_path, "+i").check_returncode()
        raise errors.BodyBroken(reason="gone")

    stream = Stream(pattern(2 * BLOCK), at=BLOCK, then=freeze_and_fail)
    try:
        with pytest.raises(errors.RemainsLeft):
            driver.write("key", stream, None)
        assert len(names(tmp_path)) == 1
    finally:
        freeze(tmp_path, "-i")

    driver.discard("key")

    assert names(tmp_path) == []


def broken(*arguments: object, **others: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_file_that_was_made_although_the_disk_denies_it_is_removed(
    tmp_path, monkeypatch
):
    driver, open_ = a_store(tmp_path), os.open

    def made(path, flags, *arguments, **others):
        number = open_(path, flags, *arguments, **others)
        if flags & os.O_CREAT:
            os.close(number)
            broken()
        return number

    with monkeypatch.context() as disk:
        disk.setattr(os, "open", made)
        with pytest.raises(errors.StoreUnavailable) as raised:
            put(driver)
        assert not isinstance(raised.value, errors.RemainsLeft)
        assert names(tmp_path) == []

        disk.setattr(os, "unlink", broken)
        with pytest.raises(errors.RemainsLeft):
            put(driver)
        assert len(names(tmp_path)) == 1


@pytest.mark.parametrize("call", ["fsync", "unlink"])
def test_a_removal_of_which_nobody_knows_is_to_be_done_again(
    tmp_path, monkeypatch, call
):
    driver = a_store(tmp_path)
    url = put(driver)

    with monkeypatch.context() as disk:
        disk.setattr(os, call, broken)
        with pytest.raises(errors.RemainsLeft):
            driver.delete(url)

    with contextlib.suppress(errors.KeyNotFound):
        driver.delete(url)
    assert names(tmp_path) == []


def test_what_cannot_fit_is_refused_before_a_byte_is_read(tmp_path):
    with memory_disk(tmp_path / "small", "8m") as folder:
        stream = Stream(bytes(20 * BLOCK), at=0, then=lambda: pytest.fail("was read"))

        with pytest.raises(errors.StoreFull, match="are free"):
            a_store(folder).write("key", stream, 20 * BLOCK)

        assert names(folder) == []


def test_only_the_request_logs_what_went_wrong_in_a_native_thread(tmp_path, caplog):
    """In the daemon the locks of ``logging`` belong to greenlets."""
    driver = a_store(tmp_path)
    url = put(driver, "key", b"data")
    (tmp_path / MARK).unlink()

    for call in (
        driver.check,
        lambda: put(driver, "other", b"data"),
        lambda: driver.read(url),
        lambda: driver.delete(url),
        lambda: driver.discard("key"),
    ):
        caplog.clear()
        with pytest.raises(errors.StoreUnavailable):
            call()
        assert str(tmp_path) in caplog.text
        assert {record.thread for record in caplog.records} == {threading.get_ident()}


def test_a_disk_that_fills_up_leaves_nothing_and_goes_on(tmp_path, caplog):
    with memory_disk(tmp_path / "small", "8m") as folder:
        driver = a_store(folder)

        # The log names the folder; what callers read ends with the reason.
        with pytest.raises(errors.StoreFull, match="No space left on device$"):
            driver.write("key", Stream(bytes(20 * BLOCK)), None)
        assert str(folder) in caplog.text

        assert names(folder) == []
        assert read_all(driver, put(driver, "key", pattern(4 * BLOCK)))[:8] == bytes(8)


def test_room_is_reserved_when_the_size_is_known(tmp_path):
    with memory_disk(tmp_path / "small", "8m") as folder:
        driver = a_store(folder)

        def crowd():
            with pytest.raises(errors.StoreFull):
                driver.write("other", Stream(bytes(4 * BLOCK)), 4 * BLOCK)

        driver.write("key", Stream(pattern(6 * BLOCK), at=0, then=crowd), 6 * BLOCK)

        assert names(folder) == ["key"]


def test_a_read_only_disk_is_a_refusal(tmp_path):
    with memory_disk(tmp_path / "disk", "8m") as folder:
        driver = a_store(folder)
        url = put(driver)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)

        with pytest.raises(errors.StoreDenied):
            put(driver, "other")
        with pytest.raises(errors.StoreDenied):
            driver.delete(url)

        assert read_all(driver, url) == b"data"


def test_a_disk_without_hard_links_will_do(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EPERM, "no hard links on FAT")

    monkeypatch.setattr(os, "link", refuse)
    driver = a_store(tmp_path)
    url = put(driver, "key", pattern(BLOCK + 1))

    with pytest.raises(errors.KeyExists):
        put(driver)
    stream = Stream(b"late", then=lambda: driver.discard("other"))
    with pytest.raises(errors.LeaseLost):
        driver.write("other", stream, None)

    assert read_all(driver, url) == pattern(BLOCK + 1)
    assert names(tmp_path) == ["key"]


# --- requests that are given up ---


class Deserting(Threads):
    """The request gives up at its ``n``th call, which a native thread still makes later.

    For stores that wait for ever; the others give up by themselves. If it does so
    ``for_good``, also at each later one.
    """

    def __init__(self, for_good=False) -> None:
        self.n = 0
        self.for_good = for_good
        self.late = []

    def run(self, function, /, *args):
        self.n -= 1
        if self.n == 0 or (self.n < 0 and self.for_good and self.late):
            self.late.append((function, args))
            raise Interrupted
        return super().run(function, *args)


@pytest.mark.parametrize("n", range(1, 6))
def test_a_thread_that_comes_too_late_leaves_nothing(tmp_path, n):
    workers = Deserting()
    driver = a_store(tmp_path, workers, filesystem_store_timeout=0)
    workers.n = n

    with contextlib.suppress(Interrupted):
        driver.write("key", Stream(pattern(2 * BLOCK)), 2 * BLOCK)
        driver.discard("key")
    assert names(tmp_path) == []
    for function, args in workers.late:
        with contextlib.suppress(errors.Error, OSError):
            function(*args)

    assert names(tmp_path) == []


@pytest.mark.parametrize("n", range(2, 6))
def test_a_removal_that_is_given_up_too_is_to_be_done_again(tmp_path, n):
    workers = Deserting(for_good=True)
    driver = a_store(tmp_path, workers, filesystem_store_timeout=0)
    workers.n = n  # place, open, add, add, publish

    # What was given up at opening has not begun, so there is nothing to remove.
    with pytest.raises(Interrupted if n == 2 else errors.RemainsLeft):
        driver.write("key", Stream(pattern(2 * BLOCK)), 2 * BLOCK)
    for function, args in workers.late:
        with contextlib.suppress(errors.Error, OSError):
            function(*args)

    assert names(tmp_path) == []


def test_a_thread_that_comes_too_late_writes_into_no_other_file(tmp_path):
    workers = Deserting()
    driver = a_store(tmp_path, workers, filesystem_store_timeout=0)
    workers.n = 4  # place, open, add, add
    with pytest.raises(Interrupted):
        driver.write("key", Stream(b"\xff" * (3 * BLOCK)), None)

    url = put(driver, "other", pattern(2 * BLOCK))
    with open(tmp_path / "innocent", "wb"):
        for function, args in workers.late:
            with contextlib.suppress(errors.LeaseLost):
                function(*args)

    assert (tmp_path / "innocent").read_bytes() == b""
    assert read_all(driver, url) == pattern(2 * BLOCK)


# --- what lies in the folder ---


def test_only_a_hidden_name_is_there_while_writing(tmp_path):
    driver = a_store(tmp_path)
    seen = []

    stream = Stream(pattern(BLOCK), then=lambda: seen.extend(names(tmp_path)))
    driver.write("key", stream, BLOCK)

    assert len(seen) == 1
    assert seen[0].startswith(".key.")
    assert names(tmp_path) == ["key"]


def test_finished_data_lies_under_its_plain_name(tmp_path):
    url = put(a_store(tmp_path), "7c1a", b"bytes")

    assert (tmp_path / "7c1a").read_bytes() == b"bytes"
    assert url == f"file://{tmp_path}/7c1a"


@pytest.mark.parametrize("scheme", ["file", "FILE", "filesystem"])
def test_data_that_another_service_left_can_be_read(tmp_path, scheme):
    (tmp_path / "7c1a").write_bytes(b"older")

    assert read_all(a_store(tmp_path), f"{scheme}://{tmp_path}/7c1a") == b"older"


def test_links_pipes_and_folders_are_no_locations(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    driver = a_store(folder)

    for name in ("link", "pipe", "folder"):
        for call in (driver.read, driver.size, driver.delete):
            with pytest.raises(errors.LocationInvalid):
                call(f"file://{folder}/{name}")

    assert (tmp_path / "secret").exists()
    assert names(folder) == ["folder", "link", "pipe"]


def test_a_location_in_a_folder_of_a_similar_name_is_foreign(tmp_path):
    (tmp_path / "images2").mkdir()
    (tmp_path / "images2" / "key").write_bytes(b"theirs")
    (tmp_path / "images").mkdir()

    with pytest.raises(errors.LocationInvalid):
        a_store(tmp_path / "images").read(f"file://{tmp_path}/images2/key")


def test_a_folder_may_be_reached_by_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    driver = a_store(tmp_path / "link")
    put(driver)

    assert read_all(driver, f"file://{tmp_path}/real/key") == b"data"
    assert read_all(driver, f"file://{tmp_path}/link/key") == b"data"


def test_data_that_was_cut_short_is_not_served_as_whole(tmp_path):
    driver = a_store(tmp_path)
    url = put(driver, "key", pattern(3 * BLOCK))
    chunks = iter(driver.read(url, 0, 3 * BLOCK))
    next(chunks)

    os.truncate(tmp_path / "key", BLOCK)

    with pytest.raises(errors.StoreUnavailable):
        next(chunks)
    with pytest.raises(errors.StoreUnavailable):
        driver.read(url, 0, 3 * BLOCK)


@pytest.mark.parametrize(("option", "mode"), [(640, 0o640), (600, 0o600), (444, 0o444)])
def test_finished_files_get_the_permissions_asked_for(tmp_path, option, mode):
    put(a_store(tmp_path, filesystem_store_file_perm=option))

    assert (tmp_path / "key").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    ("option", "mode"),
    [(0, 0o750), (600, 0o750), (644, 0o751), (606, 0o751), (602, 0o751)],
)
def test_who_may_read_files_is_let_through_a_new_folder(tmp_path, option, mode):
    folder = tmp_path / "new"
    before = os.umask(0o027)
    try:
        a_store(folder, filesystem_store_file_perm=option).create()
    finally:
        os.umask(before)

    assert folder.stat().st_mode & 0o777 == mode


def test_who_may_read_files_is_let_through_a_folder_that_becomes_ours(tmp_path):
    tmp_path.chmod(0o700)

    a_store(tmp_path, filesystem_store_file_perm=640)

    assert tmp_path.stat().st_mode & 0o777 == 0o710


def test_a_thin_store_keeps_zeros_as_holes(tmp_path):
    driver = a_store(tmp_path, filesystem_thin_provisioning=True)
    data = bytes(4 * BLOCK) + b"x" + bytes(4 * BLOCK)

    url = put(driver, "key", data)

    status = (tmp_path / "key").stat()
    assert status.st_size == len(data)
    assert status.st_blocks * 512 <= 256 * 1024
    assert read_all(driver, url) == data


# --- several folders ---


def several(tmp_path, *entries) -> File:
    paths = [f"{tmp_path}/{entry}" for entry in entries]
    return a_store(None, filesystem_store_datadir=None, filesystem_store_datadirs=paths)


def test_the_folder_of_highest_priority_is_used_first(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()

    put(several(tmp_path, "a:1", "b:2"))

    assert names(tmp_path / "b") == ["key"]


def test_the_next_folder_is_used_when_there_is_no_room(tmp_path):
    (tmp_path / "big").mkdir()
    with memory_disk(tmp_path / "small", "8m"):
        url = put(several(tmp_path, "big:1", "small:9"), data=bytes(9 * BLOCK))

        assert url == f"file://{tmp_path}/big/key"


def test_a_key_is_taken_whichever_folder_it_lies_in(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "key").write_bytes(b"older")

    with pytest.raises(errors.KeyExists):
        put(several(tmp_path, "a:1", "b:2"))


def test_two_writers_in_different_folders_cannot_both_win(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    first = several(tmp_path, "a:1", "b:2")
    # Another process, to whom the other folder looks better.
    second = several(tmp_path, "a:2", "b:1")

    stream = Stream(b"slow", then=lambda: put(second))
    with pytest.raises(errors.KeyExists):
        first.write("key", stream, None)

    assert [names(tmp_path / name) for name in "ab"] == [["key"], []]


def test_discard_looks_into_every_folder(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_bytes(b"left")
        (tmp_path / name / ".key.0123456789abcdef").write_bytes(b"left")

    several(tmp_path, "a", "b").discard("key")

    assert names(tmp_path / "a") == names(tmp_path / "b") == []


def test_a_paused_writer_does_not_block_others(tmp_path):
    driver = several(tmp_path, "a", "b")
    driver.create()
    pause = Pause()
    pause.over()

    stream = Stream(pattern(BLOCK), then=lambda: put(driver, "other"))
    driver.write("key", stream, BLOCK)

    assert sorted(names(tmp_path / "a") + names(tmp_path / "b")) == ["key", "other"]


def test_a_first_folder_that_is_away_does_not_stop_the_others(tmp_path):
    high, low = tmp_path / "high", tmp_path / "low"
    driver = a_store(
        None,
        filesystem_store_datadir=None,
        filesystem_store_datadirs=[f"{high}:2", f"{low}:1"],
    )
    driver.create()
    shutil.rmtree(high)

    put(driver)

    assert names(low) == ["key"]
    assert not high.exists()
