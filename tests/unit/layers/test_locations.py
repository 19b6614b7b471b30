"""Who may name which bytes, and that stores are asked for nothing before that."""

import pytest

from imageservice import errors
from imageservice.domain.changes import Change
from imageservice.domain.image import SIGNATURE_PROPERTIES, Location
from imageservice.domain.lease import VERIFY
from imageservice.domain.proposals import Digests, Proposal
from imageservice.layers import locations
from imageservice.layers.base import stack
from imageservice.layers.registrar import Registrar
from imageservice.services.interfaces import Lease, Relocated
from imageservice.stores.memory import Memory
from imageservice.stores.registry import Store, Stores
from imageservice.wsgi import threads

HERE = Location("main", "memory://main/a", {})
THERE = Location("s3", "s3://bucket/b", {})


SIZES = {"empty": 0, "large": 6, "huge": 2**63}


class Foreign(Memory):
    """A store of some kind that holds five bytes wherever it is asked."""

    def __init__(self, kind):
        super().__init__(kind, threads.Workers())
        self.kind = kind
        self.asked, self.deleted = [], []
        self.trouble = None

    def canonical(self, url):
        if "not-ours" in url:
            raise errors.LocationInvalid(store=self.name)
        return url

    def size(self, url):
        self.canonical(url)
        self.asked.append(url)
        if self.trouble:
            raise self.trouble
        return next((n for word, n in SIZES.items() if word in url), 5)

    def delete(self, url):
        if self.trouble:
            raise self.trouble
        self.deleted.append(url)


class Inner:
    """The rings within, which note what comes so far."""

    def __init__(self):
        self.added, self.changes, self.ended = [], [], []
        self.removed = ()

    def add(self, ctx, image, proposal):
        self.added.append(proposal)

    def update(self, ctx, image, changes, allowance):
        return image

    def relocate(self, ctx, image, changes, purpose, allowance):
        self.changes = changes
        lease = Lease(image.id, "t", "", purpose) if purpose else None
        return Relocated(image, self.removed, lease)

    def bury_copy(self, lease):
        self.ended.append("bury")

    def spare_copy(self, lease):
        self.ended.append("spare")

    def abandon(self, lease):
        self.ended.append("abandon")


@pytest.fixture
def stores():
    made = [Foreign(kind) for kind in ("memory", "http", "s3", "rbd", "s3")]
    made[-1].name = "s3-other"
    return {store.name: store for store in made}


@pytest.fixture
def inner():
    return Inner()


@pytest.fixture
def looks():
    return []


@pytest.fixture
def registrar(stores, looks):
    every = [Store(n, d, default=n == "memory") for n, d in stores.items()]
    return Registrar(
        Stores(every, multi=True),
        "sha512",
        True,
        lambda lease, known=(): looks.append((lease.purpose, list(known))),
        5,
    )


@pytest.fixture
def post(registrar, inner, an_image):
    ring = stack(locations.Locations(registrar), inner)
    image = an_image(status="queued")
    return lambda ctx, url, digests=None, **more: ring.add(
        ctx, image._replace(**more), Proposal(url, {}, digests)
    )


@pytest.fixture
def patch(registrar, inner, an_image):
    ring = stack(locations.Images(registrar), inner)
    values = {"size": 5, "os_hash_value": "a" * 128, "locations": (HERE, THERE)}
    return lambda ctx, *changes, **more: ring.update(
        ctx, an_image(**values | more), changes
    )


def add(url, digests=None):
    return Change("add", "locations", Proposal(url, {}, digests))


WHO = {
    "member": ("member", "reader"),
    "admin": ("admin",),
    "service": ("service",),
}


@pytest.mark.parametrize(
    ("url", "by_post", "by_patch"),
    [
        ("http://h/x", "member admin service", "member admin service"),
        ("HTTPS://h/x", "member admin service", "member admin service"),
        ("s3://bucket/x", "service", "admin service"),
        ("s3+https://bucket/x", "service", "admin service"),
        ("memory://main/x", "service", "admin service"),
        ("rbd://fsid/pool/x/snap", "service", "service"),
        ("file:///etc/passwd", "", ""),
        ("filesystem:///etc/passwd", "", ""),
        ("swift+config://ref/c/o", "", ""),
        ("nothing://h/x", "", ""),
        ("s3:bucket", "", ""),
        ("s3://not-ours/x", "", ""),
    ],
)
def test_who_may_register_what(url, by_post, by_patch, post, patch, a_caller):
    for who, roles in WHO.items():
        ctx = a_caller("owners", *roles)
        for allowed, call in (
            (who in by_post.split(), lambda c: post(c, url)),
            (who in by_patch.split(), lambda c: patch(c, add(url))),
        ):
            try:
                call(ctx)
                passed = True
            except (
                errors.LocationForServices,
                errors.LocationRefused,
                errors.LocationUnreadable,
            ):
                passed = False
            assert passed == allowed, who


def test_without_a_store_for_them_web_addresses_are_refused_like_all_others(
    registrar, inner, an_image, a_caller
):
    without = Stores(
        [each for each in registrar.stores.all if each.kind != "http"], multi=True
    )
    ring = stack(locations.Locations(registrar._replace(stores=without)), inner)
    proposal = Proposal("http://h/x", {})
    image = an_image(status="queued")

    with pytest.raises(errors.LocationForServices):
        ring.add(a_caller("owners", "member"), image, proposal)
    with pytest.raises(errors.LocationRefused):
        ring.add(a_caller("owners", "service"), image, proposal)


def test_a_service_beside_a_user_counts(post, patch, inner, a_caller):
    ctx = a_caller("owners", "member", service_roles=["service"])

    post(ctx, "rbd://fsid/pool/x/snap")
    patch(ctx, add("rbd://fsid/pool/x/snap"))

    assert inner.added[0].store == "rbd"


def test_who_may_not_name_it_makes_nobody_ask(post, patch, stores, a_caller):
    for call in (post, lambda ctx, url: patch(ctx, add(url))):
        with pytest.raises(errors.LocationForServices):
            call(a_caller(), "s3://bucket/x")

    assert not any(store.asked for store in stores.values())


def test_the_store_of_a_location_is_the_one_that_knows_it(
    post, patch, inner, stores, a_caller
):
    stores["s3"].canonical = stores["s3"].size = lambda url: (_ for _ in ()).throw(
        errors.LocationInvalid(store="s3")
    )
    ctx = a_caller("owners", "service")

    post(ctx, "s3://elsewhere/x")
    patch(ctx, add("s3://elsewhere/x"))

    assert inner.added[0].store == "s3-other"
    assert (inner.changes[0].value.store, inner.changes[0].value.size) == (
        "s3-other",
        5,
    )


@pytest.mark.parametrize(
    "trouble",
    [
        errors.KeyNotFound(store="http", key="x"),
        errors.StoreUnavailable(store="http", reason="the server says 10.0.0.1"),
        errors.LocationInvalid(store="http"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_users_learn_nothing_of_why_there_is_nothing(patch, stores, trouble, a_caller):
    stores["http"].trouble = trouble

    with pytest.raises(errors.LocationUnreadable) as refused:
        patch(a_caller(), add("http://h/x"))

    assert str(refused.value) == errors.LocationUnreadable.template


def test_keys_of_accounts_are_not_noted(post, patch, inner, a_caller):
    ctx = a_caller("owners", "service")

    post(ctx, "s3://AK:SE/CR@ET@host/bucket/x")
    patch(ctx, add("s3+https://AK:SECRET@host/bucket/x"))

    assert inner.added[0].url == "s3://host/bucket/x"
    assert inner.changes[0].value.url == "s3+https://host/bucket/x"


def test_the_password_for_a_web_server_is_needed(post, patch, inner, a_caller):
    url = "http://me:secret@h/x"

    post(a_caller(), url)
    patch(a_caller(), add(url))

    assert (inner.added[0].url, inner.changes[0].value.url) == (url, url)


def test_one_place_is_one_location_however_it_is_spelt(patch, inner, stores, a_caller):
    stores["s3"].canonical = lambda url: url.replace("s3+https://elsewhere/", "s3://")

    patch(a_caller("owners", "service"), add("s3+https://elsewhere/bucket/x"))

    assert inner.changes[0].value.url == "s3://bucket/x"


@pytest.mark.parametrize("size", ["large", "huge"])
def test_a_location_with_more_than_an_image_may_have_is_refused(patch, size, a_caller):
    queued = {"status": "queued", "size": None, "locations": ()}

    with pytest.raises(errors.ImageSizeLimit):
        patch(a_caller(), add(f"http://h/{size}"), **queued)


def test_a_limit_that_was_lowered_forbids_no_copy(patch, inner, a_caller):
    patch(a_caller(), add("http://h/large"), size=6)

    assert inner.changes[0].value.size == 6


def test_one_place_is_no_copy_of_itself_however_it_was_noted(patch, stores, a_caller):
    stores["s3"].canonical = lambda url: url.replace("s3+https://old/", "s3://")
    posted = (HERE, THERE._replace(url="s3+https://old/bucket/b"))

    for url in ("s3+https://old/bucket/b", "s3://bucket/b"):
        with pytest.raises(errors.LocationTaken):
            patch(a_caller("owners", "service"), add(url), locations=posted)


def test_a_location_of_a_store_that_is_no_more_is_no_obstacle(patch, inner, a_caller):
    lost = (HERE, THERE._replace(store="gone", url="swift://host/c/o"))

    patch(a_caller(), add("http://h/x"), locations=lost)

    assert len(inner.changes) == 1


def test_a_location_without_bytes_is_refused(patch, a_caller):
    with pytest.raises(errors.LocationUnreadable):
        patch(a_caller(), add("http://h/empty"))


@pytest.mark.parametrize(
    "digests",
    [Digests("sha256", "a" * 64), Digests("sha512", "a" * 64)],
    ids=["another-algorithm", "too-short"],
)
def test_a_patch_says_digests_of_the_right_form(patch, digests, a_caller):
    with pytest.raises(errors.DigestsInvalid):
        patch(a_caller(), add("http://h/x", digests))


def test_what_is_added_is_looked_at(patch, looks, a_caller):
    patch(a_caller(), add("http://h/x"))

    assert looks == [(VERIFY, [HERE.spot, THERE.spot])]


def test_what_is_noted_needs_no_look_and_no_right_to_the_bytes(
    patch, stores, looks, a_caller
):
    same = tuple(Proposal(at.url, {"k": "v"}) for at in (HERE, THERE))

    patch(a_caller(), Change("replace", "locations", same))

    assert looks == []
    assert not any(store.asked for store in stores.values())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            Change("add", "locations", Proposal("http://h/x", {}), 0), id="before"
        ),
        pytest.param(
            Change(
                "replace",
                "locations",
                tuple(Proposal(at.url, {}) for at in (THERE, HERE)),
            ),
            id="turned-round",
        ),
    ],
)
def test_the_first_location_stays_so_until_its_digests_are_known(
    patch, inner, change, a_caller
):
    with pytest.raises(errors.LocationsUnread):
        patch(a_caller(), change, os_hash_value=None)

    patch(a_caller(), change)
    assert [each.operation for each in inner.changes] == [change.operation]


def test_a_location_at_the_end_needs_no_digests(patch, a_caller):
    end = Change("add", "locations", Proposal("http://h/x", {}), 2)

    for change in (end, end._replace(place=None)):
        patch(a_caller(), change, os_hash_value=None)


@pytest.mark.parametrize("name", SIGNATURE_PROPERTIES)
def test_signed_images_get_no_locations(post, patch, stores, name, a_caller):
    signed = {"properties": {name: "x"}}

    with pytest.raises(errors.SignatureUnread):
        post(a_caller(), "http://h/x", **signed)
    for more in (signed, {**signed, "status": "queued", "locations": ()}):
        with pytest.raises(errors.SignatureUnread):
            patch(a_caller(), add("http://h/x"), **more)

    assert not any(store.asked for store in stores.values())


def test_a_patch_that_signs_or_unsigns_counts(patch, inner, a_caller):
    name = SIGNATURE_PROPERTIES[0]
    sign, unsign = Change("add", name, "x"), Change("remove", name)

    with pytest.raises(errors.SignatureUnread):
        patch(a_caller(), add("http://h/x"), sign)
    patch(a_caller(), unsign, add("http://h/x"), properties={name: "x"})

    assert len(inner.changes) == 2


def test_signed_images_keep_the_locations_they_have(patch, inner, a_caller):
    signed = {"properties": {SIGNATURE_PROPERTIES[0]: "x"}}
    same = tuple(Proposal(at.url, {"k": "v"}) for at in (HERE, THERE))

    patch(a_caller(), Change("replace", "locations", same), **signed)
    patch(a_caller(), Change("remove", "locations", place=1), **signed)

    assert inner.changes


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(add("http://h/x"), id="a-location"),
        pytest.param(Change("replace", "name", "new"), id="a-name"),
        pytest.param(Change("remove", "size_of_it"), id="a-property"),
    ],
)
def test_a_patch_that_removes_locations_does_nothing_else(
    patch, inner, other, a_caller
):
    removed = Change("remove", "locations", place=0)

    for changes in ((other, removed), (removed, other)):
        with pytest.raises(errors.LocationsMixed):
            patch(a_caller(), *changes)

    assert inner.changes == []


def test_one_patch_may_remove_several_locations(patch, inner, a_caller):
    removed = Change("remove", "locations", place=0)

    patch(a_caller(), removed, removed)

    assert inner.changes == [removed, removed]


# --- removing ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "end"),
    [
        pytest.param(None, "bury", id="gone"),
        pytest.param(errors.KeyNotFound(store="s3", key="b"), "bury", id="not-there"),
        pytest.param(errors.Unsupported(store="s3", what="x"), "bury", id="read-only"),
        pytest.param(
            errors.StoreUnavailable(store="s3", reason="x"), "abandon", id="away"
        ),
    ],
)
def test_bytes_go_after_the_rows(patch, inner, stores, trouble, end, a_caller):
    inner.removed, stores["s3"].trouble = (THERE,), trouble

    patch(a_caller(), Change("remove", "locations", place=1))

    assert inner.changes == [Change("remove", "locations", place=1)]
    assert inner.ended == [end]


def test_bytes_in_use_stay_and_so_does_their_location(patch, inner, stores, a_caller):
    inner.removed = (THERE,)
    stores["s3"].trouble = errors.KeyInUse(store="s3", key="b", reason="clones")

    with pytest.raises(errors.KeyInUse):
        patch(a_caller(), Change("remove", "locations", place=1))

    assert inner.ended == ["spare"]


def test_when_a_later_one_is_in_use_all_of_them_go_later(
    patch, inner, stores, a_caller
):
    inner.removed = (THERE, Location("s3-other", "s3://bucket/c", {}))
    stores["s3-other"].trouble = errors.KeyInUse(store="s3", key="c", reason="clones")
    removed = Change("remove", "locations", place=0)

    patch(a_caller(), removed, removed)

    assert inner.ended == ["abandon"]
