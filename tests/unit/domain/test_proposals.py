"""What clients may say of locations, and what it makes of an image."""

import pytest

from imageservice import errors
from imageservice.domain import changes, proposals
from imageservice.domain.changes import Change
from imageservice.domain.image import Location
from imageservice.domain.proposals import Digests, Proposal

SHA = Digests("sha512", "a" * 128, "b" * 32)
FIRST = Location("disk", "file:///1", {})
SECOND = Location("web", "https://user:pw@host/2", {"k": "v"})


@pytest.fixture
def queued(an_image):
    return an_image(
        status="queued", disk_format="raw", container_format="bare", size=None
    )


@pytest.fixture
def active(an_image):
    return an_image(
        status="active", size=5, locations=(FIRST, SECOND), checksum=SHA.checksum,
        os_hash_algo=SHA.os_hash_algo, os_hash_value=SHA.os_hash_value,
    )  # fmt: skip


def a_proposal(url="http://h/new", digests=None, size=5, **metadata):
    return Proposal(url, metadata, digests, "web", size)


def add(image, proposal, place=None):
    return changes.apply(
        image, [Change("add", "locations", proposal, place)], is_admin=False
    )


def replace(image, *proposals):
    return changes.apply(
        image, [Change("replace", "locations", proposals)], is_admin=False
    )


def remove(image, place):
    return changes.apply(
        image, [Change("remove", "locations", place=place)], is_admin=False
    )


# --- adding ------------------------------------------------------------------


def test_a_queued_image_becomes_active_with_what_is_said_of_its_first_location(queued):
    image = add(queued, a_proposal(digests=SHA))

    assert (image.status, image.size) == ("active", 5)
    assert (image.checksum, image.os_hash_value) == (SHA.checksum, SHA.os_hash_value)
    assert [at.url for at in image.locations] == ["http://h/new"]


def test_without_formats_it_does_not(queued):
    with pytest.raises(errors.FormatsMissing):
        add(queued._replace(disk_format=None), a_proposal())


@pytest.mark.parametrize(
    ("place", "order"), [(0, "nos"), (1, "ons"), (2, "osn"), (None, "osn")]
)
def test_a_location_is_put_where_the_patch_says(active, place, order):
    image = add(active, a_proposal(), place)

    names = {"o": FIRST.url, "s": SECOND.url, "n": "http://h/new"}
    assert [at.url for at in image.locations] == [names[letter] for letter in order]


def test_beyond_the_end_there_is_no_place(active):
    with pytest.raises(errors.LocationMissing):
        add(active, a_proposal(), 3)


def test_a_location_is_there_once(active):
    with pytest.raises(errors.LocationTaken):
        add(active, a_proposal(SECOND.url))


def test_all_copies_have_one_size(active):
    with pytest.raises(errors.LocationSize):
        add(active, a_proposal(size=6))


def test_a_further_copy_is_said_to_be_what_the_image_is(active):
    assert len(add(active, a_proposal(digests=SHA)).locations) == 3

    for other in (
        SHA._replace(os_hash_value="0" * 128),
        SHA._replace(checksum="0" * 32),
        SHA._replace(os_hash_algo="sha256"),
    ):
        with pytest.raises(errors.DigestsConflict):
            add(active, a_proposal(digests=other))


def test_an_active_image_gets_no_digests_by_hearsay(active):
    unknown = active._replace(checksum=None, os_hash_algo=None, os_hash_value=None)

    with pytest.raises(errors.DigestsConflict):
        add(unknown, a_proposal(digests=SHA))


@pytest.mark.parametrize("status", ["saving", "importing", "uploading", "deactivated"])
def test_locations_stand_still_while_the_image_is(active, status):
    image = active._replace(status=status)

    for change in (
        lambda: add(image, a_proposal()),
        lambda: replace(image, a_proposal()),
        lambda: remove(image, 0),
    ):
        with pytest.raises(errors.LocationsFrozen):
            change()


# --- replacing ---------------------------------------------------------------


def test_several_locations_of_one_patch_are_said_to_be_the_same(queued):
    one, two = a_proposal("http://h/1", SHA), a_proposal("http://h/2", SHA)

    assert len(replace(queued, one, two).locations) == 2
    with pytest.raises(errors.DigestsConflict):
        replace(queued, one, two._replace(digests=SHA._replace(checksum="0" * 32)))


def test_what_is_noted_at_a_location_can_be_replaced(active):
    shown = a_proposal("https://host/2", new="note")

    image = replace(active, shown, a_proposal(FIRST.url))

    # Credentials were not shown, and are not lost.
    assert image.locations == (
        SECOND._replace(metadata={"new": "note"}),
        FIRST,
    )


def test_locations_that_differ_in_their_password_only_keep_it(active):
    renewed = SECOND._replace(url="https://user:new@host/2")
    twins = active._replace(locations=(SECOND, renewed))
    shown = [a_proposal("https://host/2", place=place) for place in "ab"]

    image = replace(twins, *shown)

    assert image.locations == (
        SECOND._replace(metadata={"place": "a"}),
        renewed._replace(metadata={"place": "b"}),
    )
    with pytest.raises(errors.LocationsDiffer):
        replace(twins, shown[0])


@pytest.mark.parametrize(
    "urls",
    [
        pytest.param([FIRST.url], id="one-less"),
        pytest.param([FIRST.url, SECOND.url, "http://h/3"], id="one-more"),
        pytest.param([FIRST.url, FIRST.url], id="one-twice"),
        pytest.param([FIRST.url, "http://h/3"], id="another"),
    ],
)
def test_urls_cannot_be_replaced(active, urls):
    with pytest.raises(errors.LocationsDiffer):
        replace(active, *map(a_proposal, urls))


def test_an_image_is_not_left_without_locations(active):
    with pytest.raises(errors.LastLocation):
        replace(active)


# --- removing ----------------------------------------------------------------


def test_a_location_is_removed_by_its_place(active):
    assert remove(active, 0).locations == (SECOND,)
    assert remove(active, 1).locations == (FIRST,)


def test_what_is_not_there_is_not_removed(active):
    for place in (None, 2):
        with pytest.raises(errors.LocationMissing):
            remove(active, place)


def test_the_last_one_stays(active):
    with pytest.raises(errors.LastLocation):
        remove(remove(active, 0), 0)


# --- the form of digests -----------------------------------------------------


@pytest.mark.parametrize(
    "digests",
    [
        pytest.param(Digests("sha512", "a" * 127), id="short"),
        pytest.param(Digests("sha512", "a" * 129), id="long"),
        pytest.param(Digests("md5", "a" * 128), id="of-another"),
        pytest.param(Digests("sha512", "x" * 128), id="not-hex"),
        pytest.param(Digests("crc32", "a" * 8), id="unknown"),
        pytest.param(SHA._replace(checksum="x" * 32), id="checksum-not-hex"),
    ],
)
def test_malformed_digests_are_told_apart(digests):
    assert proposals.check_form(digests) is not None
    assert proposals.check_form(SHA) is None
