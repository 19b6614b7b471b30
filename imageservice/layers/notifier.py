"""The notifier ring: tell others what happened, and what failed further in.

``EVENTS`` says which operation announces what; names, order and content are published
(contract images.md §9.1, §18.6; operations.md §4). An upload announces itself with its
first byte, or when the store takes none: one that is refused before was none.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from imageservice import errors
from imageservice.context import Context
from imageservice.data.watched import Begun, Counted
from imageservice.domain.changes import Change
from imageservice.domain.image import Image
from imageservice.domain.member import Member
from imageservice.domain.proposals import Proposal
from imageservice.layers import payloads
from imageservice.layers.base import Layer
from imageservice.notifications.events import Events, Level, Payload
from imageservice.services.interfaces import Download, Redirect
from imageservice.stores.driver import Reader

LOG = logging.getLogger(__name__)


class Call(NamedTuple):
    """One operation on its way in: what the functions below work with."""

    events: Events
    inner: Any  # the ring within: an operation's answer may not tell all
    inward: Callable[..., Any]  # the operation itself

    def tell(self, event_type: str, payload: Payload, level: Level = "INFO") -> None:
        if self.events.wants(event_type):
            self.events.emit(event_type, payload, level)

    def tell_state(self, event_type: str, ctx: Context, image: Image) -> None:
        """Tell what the image is now; nothing if it is gone, that is told elsewhere."""
        after = self.again(ctx, image)
        if after is not None:
            self.tell(event_type, payloads.image(after))

    def again(self, ctx: Context, image: Image) -> Image | None:
        try:
            found: Image = self.inner.find(ctx, image.id)
        except errors.NotFound:
            return None
        except errors.Error as error:
            # The operation is over: what became of it is not changed by this.
            LOG.warning("image %s: events are missing: %s", image.id, error)
            return None
        return found


# --- images ------------------------------------------------------------------


def _create(call: Call, ctx: Context, image: Image) -> Image:
    created: Image = call.inward(ctx, image)
    call.tell("image.create", payloads.image(created))
    return created


def _update(call: Call, ctx: Context, image: Image, changes: Sequence[Change]) -> Image:
    updated: Image = call.inward(ctx, image, changes)
    if changes:
        call.tell("image.update", payloads.image(updated))
    return updated


def _delete(call: Call, ctx: Context, image: Image) -> None:
    call.inward(ctx, image)
    call.tell("image.delete", payloads.deleted(image))


def _deactivate(call: Call, ctx: Context, image: Image) -> None:
    call.inward(ctx, image)
    if image.status != "deactivated":
        call.tell_state("image.update", ctx, image)


def _reactivate(call: Call, ctx: Context, image: Image) -> None:
    call.inward(ctx, image)
    if image.status != "active":
        call.tell_state("image.update", ctx, image)


def _remove_copy(call: Call, ctx: Context, image: Image, store: str) -> None:
    call.inward(ctx, image, store)
    call.tell_state("image.update", ctx, image)


def _tag(call: Call, ctx: Context, image: Image, tag: str) -> None:
    call.inward(ctx, image, tag)
    # Also for a tag that was there before (images.md §18.6).
    call.tell_state("image.update", ctx, image)


#: What a store may say before it has read a byte, being full mostly: the image is saving
#: by then, and whoever waits for it is to hear why nothing comes.
_BY_STORES = (
    errors.StoreFull,
    errors.StoreDenied,
    errors.StoreUnavailable,
    errors.KeyExists,
)


def _upload(
    call: Call,
    ctx: Context,
    image: Image,
    data: Reader,
    size: int | None,
    store: str | None,
) -> None:
    def begun() -> None:
        saving = image._replace(status="saving")
        call.tell("image.update", payloads.image(saving))
        chosen = {} if store is None else {"backend": store}
        call.tell("image.prepare", payloads.transfer(saving) | chosen)

    watched = Begun(data, begun)
    try:
        call.inward(ctx, image, watched, size, store)
    except Exception as error:
        if isinstance(error, _BY_STORES):
            watched.begin()
        if watched.has_begun:
            known = isinstance(error, errors.Error)
            said = str(error) if known else "internal error, see the service's log"
            call.tell("image.upload", f"Upload of image {image.id}: {said}", "ERROR")
            call.tell_state("image.update", ctx, image)
        raise
    after = call.again(ctx, image)
    if after is not None:
        call.tell("image.upload", payloads.transfer(after))
        call.tell("image.activate", payloads.image(after))
        call.tell("image.update", payloads.image(after))


def _download(
    call: Call,
    ctx: Context,
    image: Image,
    start: int,
    stop: int | None,
    prefer: Sequence[str],
    *,
    may_redirect: bool = False,
) -> Download | Redirect:
    opened: Download | Redirect = call.inward(
        ctx, image, start, stop, prefer, may_redirect=may_redirect
    )
    if isinstance(opened, Redirect):
        # Nothing of it passes here, nor does anybody tell how much was read.
        payload = payloads.sent(ctx, image, 0) | {"redirected_to": opened.store}
        call.tell("image.send", payload)
        return opened
    if stop == 0:
        return opened  # nothing was asked for but whether it may be

    def done(count: int) -> None:
        level: Level = "INFO" if count == opened.size else "ERROR"
        call.tell("image.send", payloads.sent(ctx, image, count), level)

    return Download(opened.size, Counted(opened.chunks, done))


# --- locations ---------------------------------------------------------------


def _add_location(call: Call, ctx: Context, image: Image, proposal: Proposal) -> None:
    call.inward(ctx, image, proposal)
    # What becomes of it is told by those who look at the bytes (tasks/verification.py).
    call.tell("image.update", payloads.image(image._replace(status="importing")))


# --- members -----------------------------------------------------------------


def _add_member(call: Call, ctx: Context, image: Image, member_id: str) -> Member:
    member: Member = call.inward(ctx, image, member_id)
    call.tell("image.member.create", payloads.member(member))
    return member


def _change_member(
    call: Call, ctx: Context, image: Image, member_id: str, status: str
) -> Member:
    member: Member = call.inward(ctx, image, member_id, status)
    call.tell("image.member.update", payloads.member(member))
    return member


def _remove_member(call: Call, ctx: Context, image: Image, member_id: str) -> None:
    try:
        member = call.inner.show(ctx, image, member_id)
    except errors.Error:
        # He may not look at the row; whether he may remove it is asked next.
        member = None
    call.inward(ctx, image, member_id)
    call.tell(
        "image.member.delete", payloads.removed_member(image.id, member_id, member)
    )


# --- the table ---------------------------------------------------------------


class Row(NamedTuple):
    """The events of an operation, in their order, and the function that tells them."""

    names: tuple[str, ...]
    around: Callable[..., Any]  # (call, ctx, target, ...) as the operation


EVENTS: Mapping[tuple[str, str], Row] = {
    ("images", "create"): Row(("image.create",), _create),
    ("images", "update"): Row(("image.update",), _update),
    ("images", "delete"): Row(("image.delete",), _delete),
    ("images", "deactivate"): Row(("image.update",), _deactivate),
    ("images", "reactivate"): Row(("image.update",), _reactivate),
    ("images", "add_tag"): Row(("image.update",), _tag),
    ("images", "remove_tag"): Row(("image.update",), _tag),
    ("images", "remove_copy"): Row(("image.update",), _remove_copy),
    ("images", "upload"): Row(
        (
            "image.update",  # saving
            "image.prepare",
            "image.upload",  # an error, with a text, if it failed
            "image.activate",
            "image.update",  # active, or queued again
        ),
        _upload,
    ),
    ("images", "download"): Row(("image.send",), _download),
    ("locations", "add"): Row(("image.update",), _add_location),
    ("members", "add"): Row(("image.member.create",), _add_member),
    ("members", "change"): Row(("image.member.update",), _change_member),
    ("members", "remove"): Row(("image.member.delete",), _remove_member),
}


class Notify(Layer):
    """Announce the operations of ``resource``; when nobody listens, it is not there."""

    def __init__(self, resource: str, events: Events) -> None:
        self._resource = resource
        self._events = events

    def _covers(self, operation: str) -> bool:
        row = EVENTS.get((self._resource, operation))
        return row is not None and any(map(self._events.wants, row.names))

    # Any: the targets, arguments and answers of all operations pass here.
    def around(
        self,
        operation: str,
        inward: Callable[..., Any],
        ctx: Context,
        target: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        row = EVENTS[self._resource, operation]
        call = Call(self._events, self.inner, inward)
        return row.around(call, ctx, target, *args, **kwargs)
