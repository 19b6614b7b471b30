"""Nothing that a client can send makes the API fail (it may refuse, of course)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imageservice.api.routes import ROUTES
from tests.unit.api.fakes import ID, PATCH, PATCH_20, Client

NAMES = [
    "name", "id", "min_ram", "tags", "owner", "member", "status", "op", "path", "value",
    "add", "locations", "visibility", "protected", "disk_format", "x", "",
]  # fmt: skip
WORDS = [
    "/name",
    "/",
    "//",
    "/~2",
    "add",
    "replace",
    'in:"',
    "gt:",
    ID,
    "1.0",
    "accepted",
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(WORDS),
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(NAMES), st.text()), inner, max_size=4
        ),
    ),
    max_leaves=12,
)
bodies = st.one_of(
    st.none(),
    st.binary(max_size=200),
    documents.map(lambda document: json.dumps(document).encode()),
)
latin1 = st.text(st.characters(codec="latin-1"), max_size=40)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.one_of(
            latin1, st.sampled_from([PATCH, PATCH_20, "application/octet-stream"])
        ),
        "Accept": latin1,
        "Range": st.one_of(latin1, st.from_regex(r"\Abytes=[\d,-]*\Z")),
        "Content-Range": latin1,
        "If-Range": latin1,
        "If-None-Match": latin1,
        "X-Image-Meta-Store": latin1,
        "X-OpenStack-Image-Size": latin1,
        "Transfer-Encoding": st.one_of(latin1, st.just("chunked")),
        "Host": latin1,
    },
)


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_request_makes_a_route_fail(route, data):
    part = latin1.map(lambda text: text.replace("/", "").replace("?", ""))
    path = route.path.format(
        store=data.draw(part),
        image_id=data.draw(st.one_of(st.just(ID), part)),
        member_id=data.draw(part),
        tag=data.draw(part),
    )
    query = data.draw(st.one_of(latin1, st.just("prefer=%ff"), st.just("limit=")))

    reply = Client()(
        route.method, f"{path}?{query}", data.draw(bodies), data.draw(headers)
    )

    assert reply.status < 500
