"""Nobody is told a user or a password of a location (contract operations.md §3.5)."""

import pytest

from imageservice.domain.location import redacted


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3+https://AK:se/cr@et@s3.example.net/images/key", "s3+https://s3.example.net/images/key"),
        ("s3://AK:secret@s3.example.net/images/key", "s3://s3.example.net/images/key"),
        ("swift+https://project%3Auser:p/w@k.example/v3/images/key", "swift+https://k.example/v3/images/key"),
        ("swift://p:u:key@k.example/images/key", "swift://k.example/images/key"),
        ("http://user:password@web.example/a@b?c@d#e@f", "http://web.example/a@b?c@d#e@f"),
        ("HTTPS://user@web.example", "HTTPS://web.example"),
        ("http://a@b:c@web.example/", "http://web.example/"),
    ],
)  # fmt: skip
def test_what_comes_before_the_host_is_cut_off(url, shown):
    assert redacted(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "file:///srv/user@host/key",
        "rbd://fsid/pool/key/snap",
        "s3://images/key",
        "swift+config://ref1/images/key",
        "http://web.example/path@here?who=me@example.net",
        "cinder://store/volume",
        "memory://ram/a@b",
        "nonsense@all",
        "",
    ],
)
def test_the_rest_stays_as_it_is(url):
    assert redacted(url) == url
