"""Two workers that share a database and a store, and an image to be uploaded."""

import uuid

import pytest

from imageservice.db import schema
from imageservice.db.engine import Database
from imageservice.db.usage import Usage
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.changes import Change
from imageservice.stores.folders import MARK
from imageservice.stores.registry import Store, Stores
from imageservice.wsgi import threads
from tests.db.factories import an_image
from tests.signing import Signer
from tests.unit.layers.node import CTX, Body, Clinging, Node
from tests.unit.layers.signed import Signed


@pytest.fixture
def store(tmp_path):
    (tmp_path / "images").mkdir()
    options = {"filesystem_store_datadir": str(tmp_path / "images")}
    driver = Clinging.configured("shelf", options, threads.Workers())
    driver.create()
    return driver


@pytest.fixture
def names(tmp_path):
    return lambda: {p.name for p in (tmp_path / "images").iterdir()} - {MARK}


@pytest.fixture
def nodes(tmp_path, store):
    database = Database(f"sqlite:///{tmp_path}/rows.sqlite")
    schema.sync(database)
    stores = Stores([Store("shelf", store, default=True)], multi=True)
    yield [Node(database, stores) for _ in range(2)]
    counters = Usage(database)
    for project in counters.projects():
        before, after = counters.recount(project)
        assert before == after, project
    database.close()


@pytest.fixture
def node(nodes):
    return nodes[0]


@pytest.fixture
def image(node):
    return node.services.create(CTX, an_image(owner="p"), UNLIMITED)


@pytest.fixture(scope="module")
def signer():
    return Signer.make("ECC_SECP384R1")


@pytest.fixture
def sign(node, image, signer, names):
    def make(data, **other):
        known = str(uuid.uuid4())
        node.certificates.kept[known] = signer.der
        values = signer.properties(data, known) | other
        changes = [Change("add", name, value) for name, value in values.items()]
        return Signed(node, node.services.update(CTX, image, changes), data, names)

    return make


@pytest.fixture
def signed(sign):
    return sign(b"data")


@pytest.fixture
def unread():
    """Uploads must not come so far as to read."""
    return Body(before=lambda: pytest.fail("it was read"))
