"""Which events an operation sends, in which order, and what they say."""

import io

import pytest

from imageservice import errors
from imageservice.domain.changes import Change
from imageservice.domain.member import Member
from imageservice.layers.base import stack
from imageservice.layers.notifier import EVENTS, Notify
from imageservice.services.interfaces import Download, Redirect


class Heard:
    """Somebody who listens to everything but what is silenced."""

    def __init__(self, *silenced):
        self.events = []
        self._silenced = silenced

    def wants(self, event_type):
        return event_type not in self._silenced

    def emit(self, event_type, payload, level="INFO"):
        self.events.append((event_type, payload, level))

    @property
    def names(self):
        return [event_type for event_type, _, _ in self.events]


class Images:
    """One image and what became of it."""

    def __init__(self, image, data=b"", error=None):
        self.image = image
        self._data = data
        self._error = error

    def find(self, ctx, image_id):
        if self.image is None:
            raise errors.ImageNotFound(image_id=image_id)
        return self.image

    def create(self, ctx, image):
        return image

    def update(self, ctx, image, changes):
        return image._replace(name="changed")

    def delete(self, ctx, image):
        self.image = None

    def deactivate(self, ctx, image):
        self.image = self.image._replace(status="deactivated")

    def reactivate(self, ctx, image):
        self.image = self.image._replace(status="active")

    def add_tag(self, ctx, image, tag):
        self.image = self.image._replace(tags=(*image.tags, tag))

    def upload(self, ctx, image, data, size, store):
        if self.image.status != "queued":
            raise errors.ImageBusy(status=self.image.status, wanted="saving")
        while data.read(3):
            pass
        if self._error is not None:
            raise self._error
        self.image = self.image._replace(status="active", size=5)

    def download(self, ctx, image, start, stop, prefer, *, may_redirect):
        if self._error is not None:
            raise self._error
        data = self._data[start:stop]
        return Download(len(data), Chunks(data))


class Chunks:
    closed = False

    def __init__(self, data):
        self._data = data

    def __iter__(self):
        yield self._data[:2]
        yield self._data[2:]

    def close(self):
        self.closed = True


class Members:
    def __init__(self, visible=True):
        self._visible = visible

    def show(self, ctx, image, member_id):
        if not self._visible:
            raise errors.MemberNotFound(image_id=image.id, member_id=member_id)
        return Member(image.id, member_id, "accepted", None, None)

    def add(self, ctx, image, member_id):
        return Member(image.id, member_id, "pending", None, None)

    def change(self, ctx, image, member_id, status):
        return Member(image.id, member_id, status, None, None)

    def remove(self, ctx, image, member_id):
        pass


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def ctx(a_caller):
    return a_caller("p", "member", user_id="u")


def images(heard, service):
    return stack(Notify("images", heard), service)


def test_creation_tells_all_of_the_image_but_its_locations(heard, ctx, an_image):
    image = an_image(visibility="public", tags=("t",), properties={"x": "1"})

    images(heard, Images(image)).create(ctx, image)

    [(event_type, payload, level)] = heard.events
    assert (event_type, level) == ("image.create", "INFO")
    assert payload["is_public"] is True
    assert payload["properties"] == {"x": "1"}
    assert payload["tags"] == ["t"]
    assert payload["deleted"] is False
    assert {"os_hidden", "os_hash_algo", "os_hash_value"} <= set(payload)
    assert "locations" not in payload


def test_an_update_tells_the_new_state_and_an_empty_one_nothing(heard, ctx, an_image):
    ring = images(heard, Images(an_image()))

    ring.update(ctx, an_image(), [])
    assert heard.events == []

    ring.update(ctx, an_image(), [Change("replace", "name", "changed")])
    [(event_type, payload, _)] = heard.events
    assert (event_type, payload["name"]) == ("image.update", "changed")


def test_a_deletion_tells_what_the_image_was(heard, ctx, an_image):
    images(heard, Images(an_image())).delete(ctx, an_image())

    [(event_type, payload, _)] = heard.events
    assert event_type == "image.delete"
    assert (payload["status"], payload["deleted"]) == ("deleted", True)
    assert payload["deleted_at"] is not None


@pytest.mark.parametrize(
    ("operation", "before", "told"),
    [
        ("deactivate", "active", ["image.update"]),
        ("deactivate", "deactivated", []),
        ("reactivate", "deactivated", ["image.update"]),
        ("reactivate", "active", []),
    ],
)
def test_doing_again_what_is_done_tells_nothing(
    heard, ctx, an_image, operation, before, told
):
    image = an_image(status=before)

    getattr(images(heard, Images(image)), operation)(ctx, image)

    assert heard.names == told


def test_a_tag_is_an_update_even_if_it_was_there(heard, ctx, an_image):
    image = an_image(tags=("t",))

    images(heard, Images(image)).add_tag(ctx, image, "t")

    assert heard.names == ["image.update"]


def test_an_upload_is_told_from_saving_to_active(heard, ctx, an_image):
    image = an_image(status="queued")
    ring = images(heard, Images(image))

    ring.upload(ctx, image, io.BytesIO(b"12345"), 5, "fast")

    assert heard.names == [
        "image.update",
        "image.prepare",
        "image.upload",
        "image.activate",
        "image.update",
    ]
    said = [payload for _, payload, _ in heard.events]
    assert [p["status"] for p in said] == ["saving", "saving"] + ["active"] * 3
    assert [p.get("backend") for p in said] == [None, "fast", None, None, None]
    assert said[2]["os_glance_failed_import"] == []


def test_an_upload_that_fails_is_an_error_in_words(heard, ctx, an_image):
    image = an_image(status="queued")
    error = errors.SizeMismatch(received=4, announced=5)
    ring = images(heard, Images(image, error=error))

    with pytest.raises(errors.SizeMismatch):
        ring.upload(ctx, image, io.BytesIO(b"1234"), 5, None)

    assert heard.names[2:] == ["image.upload", "image.update"]
    _, said, level = heard.events[2]
    assert level == "ERROR"
    assert "4 bytes were received" in said
    assert heard.events[3][1]["status"] == "queued"


def test_a_bug_is_told_without_its_details(heard, ctx, an_image):
    image = an_image(status="queued")
    ring = images(heard, Images(image, error=ValueError("secret")))

    with pytest.raises(ValueError, match="secret"):
        ring.upload(ctx, image, io.BytesIO(b"1"), 1, None)

    assert "secret" not in heard.events[2][1]


def test_an_upload_that_is_refused_before_its_first_byte_was_none(heard, ctx, an_image):
    image = an_image(status="active")

    with pytest.raises(errors.ImageBusy):
        images(heard, Images(image)).upload(ctx, image, io.BytesIO(b"1"), 1, None)

    assert heard.events == []


@pytest.mark.parametrize(
    "error",
    [
        errors.StoreFull(store="s", reason="no room"),
        errors.StoreDenied(store="s", reason="no right"),
        errors.StoreUnavailable(store="s", reason="no answer"),
        errors.KeyExists(store="s", key="k"),
    ],
)
def test_a_store_that_takes_no_byte_is_a_failed_upload(heard, ctx, an_image, error):
    class Full(Images):
        def upload(self, ctx, image, data, size, store):
            raise error

    image = an_image(status="queued")
    with pytest.raises(type(error)):
        images(heard, Full(image)).upload(ctx, image, io.BytesIO(b"1"), 1, None)

    assert heard.names == [
        "image.update",
        "image.prepare",
        "image.upload",
        "image.update",
    ]
    _, said, level = heard.events[2]
    assert (level, str(error) in said) == ("ERROR", True)


def test_a_download_is_told_when_it_has_ended(heard, ctx, an_image):
    image = an_image(size=5)
    ring = images(heard, Images(image, b"12345"))

    chunks = ring.download(ctx, image, 0, None, ()).chunks
    assert b"".join(chunks) == b"12345"
    assert heard.events == []
    chunks.close()
    chunks.close()

    assert heard.events == [
        (
            "image.send",
            {
                "bytes_sent": 5,
                "image_id": "i1",
                "owner_id": "owners",
                "receiver_tenant_id": "p",
                "receiver_user_id": "u",
            },
            "INFO",
        )
    ]


def test_a_download_that_breaks_off_is_an_error_with_what_was_sent(
    heard, ctx, an_image
):
    image = an_image(size=5)
    chunks = (
        images(heard, Images(image, b"12345")).download(ctx, image, 0, 5, ()).chunks
    )

    parts = iter(chunks)
    next(parts)
    next(parts)  # the first has gone out, the second has not
    chunks.close()

    [(_, payload, level)] = heard.events
    assert (payload["bytes_sent"], level) == (2, "ERROR")


def test_a_server_that_sends_the_file_itself_says_how_much(heard, ctx, an_image):
    class File(Chunks):
        file = (7, 0, 5)

    class Service(Images):
        def download(self, ctx, image, start, stop, prefer, *, may_redirect):
            return Download(5, File(b"12345"))

    ring = images(heard, Service(an_image(size=5)))

    chunks = ring.download(ctx, an_image(size=5), 0, None, ()).chunks
    assert chunks.file == (7, 0, 5)
    chunks.sent(3)
    chunks.sent(2)
    chunks.close()

    [(_, payload, level)] = heard.events
    assert (payload["bytes_sent"], level) == (5, "INFO")


def test_bytes_that_are_no_file_do_not_look_like_one(heard, ctx, an_image):
    ring = images(heard, Images(an_image(size=5), b"12345"))

    opened = ring.download(ctx, an_image(size=5), 0, None, ())

    assert not hasattr(opened.chunks, "file")


def test_a_redirect_is_told_without_its_url_and_as_nothing_sent(heard, ctx, an_image):
    class Service(Images):
        def download(self, ctx, image, start, stop, prefer, *, may_redirect):
            assert may_redirect
            return Redirect("https://store/secret", "cold")

    ring = images(heard, Service(an_image(size=5)))

    ring.download(ctx, an_image(size=5), 0, None, (), may_redirect=True)

    [(name, payload, level)] = heard.events
    assert (name, level, payload["bytes_sent"]) == ("image.send", "INFO", 0)
    assert payload["redirected_to"] == "cold"
    assert "secret" not in str(payload)


@pytest.mark.parametrize("data", [b"12345", b""])
def test_asking_whether_one_may_download_is_no_download(heard, ctx, an_image, data):
    image = an_image(size=len(data))
    ring = images(heard, Images(image, data))

    ring.download(ctx, image, 0, 0, ()).chunks.close()
    assert heard.events == []

    ring.download(ctx, image, 0, None, ()).chunks.close()
    assert heard.names == ["image.send"]


def test_a_download_without_data_tells_nothing(heard, ctx, an_image):
    service = Images(an_image(), error=errors.NoData(image_id="i1"))

    with pytest.raises(errors.NoData):
        images(heard, service).download(ctx, an_image(), 0, None, ())

    assert heard.events == []


def test_members_are_told_with_their_rows(heard, ctx, an_image):
    ring = stack(Notify("members", heard), Members())

    ring.add(ctx, an_image(), "m")
    ring.change(ctx, an_image(), "m", status="accepted")
    ring.remove(ctx, an_image(), "m")

    assert [(name, p["status"], p["deleted"]) for name, p, _ in heard.events] == [
        ("image.member.create", "pending", False),
        ("image.member.update", "accepted", False),
        ("image.member.delete", "accepted", True),
    ]


def test_a_member_may_be_removed_by_who_cannot_look_at_it(heard, ctx, an_image):
    stack(Notify("members", heard), Members(visible=False)).remove(ctx, an_image(), "m")

    [(_, payload, _)] = heard.events
    assert (payload["member_id"], payload["status"]) == ("m", None)


def test_when_nobody_listens_the_ring_is_not_there(an_image):
    service = Images(an_image())
    everything = {name for row in EVENTS.values() for name in row.names}

    assert images(Heard(*everything), service).upload == service.upload
    assert images(Heard(), service).find == service.find


def test_a_silenced_event_is_left_out_of_a_sequence(ctx, an_image):
    heard = Heard("image.update")
    image = an_image(status="queued")

    images(heard, Images(image)).upload(ctx, image, io.BytesIO(b"1"), 1, None)

    assert heard.names == ["image.prepare", "image.upload", "image.activate"]


class Away(Images):
    """Services whose database goes away when the operation is done."""

    def find(self, ctx, image_id):
        raise errors.Unavailable(reason="The database is not available now.")


def test_what_is_done_stays_done_when_nobody_can_tell_of_it(heard, ctx, an_image):
    service = Away(an_image(status="queued", tags=()))
    ring = images(heard, service)

    ring.add_tag(ctx, service.image, "t")
    ring.upload(ctx, service.image, io.BytesIO(b"12345"), 5, None)

    assert service.image.tags == ("t",)
    assert service.image.status == "active"
    assert heard.names == ["image.update", "image.prepare"]


def test_an_upload_fails_for_its_own_reason_when_nobody_can_tell_of_it(
    heard, ctx, an_image
):
    service = Away(an_image(status="queued"), error=errors.BodyBroken(reason="gone"))

    with pytest.raises(errors.BodyBroken):
        images(heard, service).upload(ctx, service.image, io.BytesIO(b"1"), 1, None)
