import pytest

from imageservice.api.answer import Answer
from imageservice.api.mounts import Mounts
from tests.unit.api.fakes import an_environ, call


def naming(name):
    def app(environ, start_response):
        place = f"{name} {environ['SCRIPT_NAME']} {environ['PATH_INFO']}"
        return Answer(200, [], place.encode()).send(start_response)

    return app


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/v2/images", "root  /v2/images"),
        ("/", "root  /"),
        ("/health", "health /health "),
        ("/health/deep", "health /health /deep"),
        ("/healthy", "root  /healthy"),
        ("/health/db/x", "database /health/db /x"),
    ],
)
def test_the_longest_prefix_counts_and_moves_to_script_name(path, place):
    mounts = Mounts(
        {
            "/": naming("root"),
            "/health": naming("health"),
            "/health/db": naming("database"),
        }
    )

    assert call(mounts, an_environ("GET", path)).body.decode() == place


def test_a_path_that_nothing_is_mounted_at_is_404():
    assert call(Mounts({"/a": naming("a")}), an_environ("GET", "/b")).status == 404
