"""The service with its images in Ceph, as nova and cinder see it."""

import pytest

from tests.hammer import calls
from tests.stores.backends import sections
from tests.stores.rbds import Blocks

pytestmark = pytest.mark.servers


def test_the_direct_url_is_what_can_be_cloned(ceph, start_daemon):
    options = sections(Blocks(ceph))
    options["DEFAULT"]["show_image_direct_url"] = True
    daemon = start_daemon(options)
    image = calls.create(daemon.url)

    assert calls.put(daemon.url, image, b"data") == 204

    url = calls.show(daemon.url, image)["direct_url"]
    assert url.startswith("rbd://")
    assert url.endswith(f"/{ceph.pool}/{calls.name(image)}/snap")
    assert calls.call(daemon.url, "DELETE", image).status == 204
