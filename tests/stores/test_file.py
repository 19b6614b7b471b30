"""The file store passes the suite that every driver passes, however it is laid out."""

import os

import pytest

from imageservice.stores.filesystem import File
from imageservice.stores.folders import MARK
from imageservice.stores.testing import DriverSuite, Threads


def below(*paths) -> list[str]:
    return [name for path in paths for name in os.listdir(path) if name != MARK]


class TestOneFolder(DriverSuite):
    test_more_than_five_gibibytes = None  # the thin store shows it

    @pytest.fixture
    def driver(self, tmp_path) -> File:
        options = {"filesystem_store_datadir": str(tmp_path)}
        driver = File.configured("one", options, Threads())
        driver.create()
        return driver

    def left(self, driver: File) -> list[str]:
        return below(*driver.claims())


class TestSeveralFolders(TestOneFolder):
    @pytest.fixture
    def driver(self, tmp_path) -> File:
        for name in "abc":
            (tmp_path / name).mkdir()
        paths = [f"{tmp_path}/a", f"{tmp_path}/b:5", f"{tmp_path}/c:5"]
        driver = File.configured(
            "many", {"filesystem_store_datadirs": paths}, Threads()
        )
        driver.create()
        return driver


class TestThin(TestOneFolder):
    test_more_than_five_gibibytes = DriverSuite.test_more_than_five_gibibytes

    @pytest.fixture
    def driver(self, tmp_path) -> File:
        options = {
            "filesystem_store_datadir": str(tmp_path),
            "filesystem_thin_provisioning": True,
        }
        driver = File.configured("thin", options, Threads())
        driver.create()
        return driver
