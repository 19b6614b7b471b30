"""What an audit of ten thousand images costs."""

import tracemalloc
import uuid

import pytest
from sqlalchemy import insert

from imageservice.care.audit import Audit, Choice
from imageservice.care.pace import Pace
from imageservice.db.engine import Database
from imageservice.db.inventory import Inventory
from imageservice.db.tables import image_locations, images
from imageservice.stores import registry
from imageservice.stores.driver import Capability, Listed
from imageservice.stores.memory import Memory
from imageservice.wsgi import threads
from tests import databases
from tests.db.factories import NOW

COUNT = 10_000


class Many(Memory):
    """Lists as many objects as are asked for, without having them."""

    capabilities = Capability.READ | Capability.LIST

    def listing(self):
        for number in range(COUNT):
            key = str(uuid.UUID(int=number))
            yield Listed(key, f"memory://many/{key}", 4, 1e6)


@pytest.fixture
def inventory(tmp_path):
    with databases.ready("sqlite", tmp_path) as url:
        database = Database(url)
        ids = [str(uuid.UUID(int=number)) for number in range(COUNT)]
        shared = {"status": "active", "visibility": "private", "size": 4}
        shared |= dict.fromkeys(("protected", "os_hidden"), False)
        shared |= dict.fromkeys(("min_disk", "min_ram", "version"), 0)
        shared |= dict.fromkeys(("created_at", "updated_at"), NOW)
        copy = {"store": "many", "metadata": "{}"}

        def fill(connection):
            connection.execute(insert(images), [{"id": id} | shared for id in ids])
            connection.execute(
                insert(image_locations),
                [{"image_id": id, "url": f"memory://many/{id}"} | copy for id in ids],
            )

        database.write(fill)
        yield Inventory(database)
        database.close()


@pytest.mark.slow
def test_ten_thousand_images_need_no_memory(inventory):
    workers = threads.Workers()
    store = registry.Store("many", Many("many", workers))
    audit = Audit(store, inventory, workers, Choice(), Pace(), lambda *_: None)

    tracemalloc.start()
    found = list(audit.findings())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found == []
    assert (audit.counts.rows, audit.counts.objects) == (COUNT, COUNT)
    assert peak < 8 * 2**20
