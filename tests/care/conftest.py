from pathlib import Path

import pytest

from tests import databases
from tests.care.place import Place


@pytest.fixture
def place(tmp_path: Path):
    with databases.ready("sqlite", tmp_path) as url:
        yield Place(tmp_path, url)
