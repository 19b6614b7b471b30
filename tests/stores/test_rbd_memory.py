"""What a transfer to and from Ceph holds in memory, whatever the image's size."""

import os

import pytest

from benchmarks.stores import Place, measured
from imageservice.stores.driver import BLOCK
from tests.stores.rbds import options

pytestmark = [pytest.mark.servers, pytest.mark.slow]

MIB = 384
LIMIT_MIB = 64


def test_a_transfer_holds_a_bounded_part_of_the_image(ceph, tmp_path):
    file = tmp_path / "data"
    with file.open("wb") as out:
        for _ in range(MIB):
            out.write(os.urandom(BLOCK))

    figures = measured("rbd", Place(options(ceph), file), "ours")

    assert 0 < figures["upload memory MiB"] < LIMIT_MIB
    assert 0 <= figures["download memory MiB"] < LIMIT_MIB
