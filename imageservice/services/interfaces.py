"""The operations of the service: what a request can ask for, resource by resource.

Every operation has the shape ``operation(ctx, target, ...)``. The rings and the
innermost services implement these; handlers call nothing else. Operations under
"inner" have no rule in ``policy/rules.py``: no request reaches them from outside.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from imageservice.context import Context
from imageservice.domain.allowance import NOTHING, Allowance
from imageservice.domain.changes import Change
from imageservice.domain.image import Image, Location
from imageservice.domain.lease import UPLOAD
from imageservice.domain.member import Member
from imageservice.domain.proposals import Proposal
from imageservice.domain.query import Page, Query
from imageservice.stores.driver import Chunks, Reader


class Download(NamedTuple):
    """Bytes on their way out: ``size`` of them, from ``chunks``."""

    size: int
    chunks: Chunks


class Redirect(NamedTuple):
    """Bytes that the client is to fetch from a store; ``url`` is a secret, never logged."""

    url: str
    store: str


class Lease(NamedTuple):
    """The right to write an image's bytes; lost when its beat stops (tasks/housekeeping.py)."""

    image_id: str
    token: str  # one claim's, never used twice
    store: str  # where bytes are being written under the image's id; "": nowhere
    purpose: str = UPLOAD  # domain/lease.py


class Doomed(NamedTuple):
    """An image that is being deleted: hidden already, its bytes still in these places."""

    lease: Lease
    locations: tuple[Location, ...]


class Relocated(NamedTuple):
    """An image whose locations were changed, and what is still to be done about it.

    ``removed`` are hidden and still hold their bytes. ``lease`` is for that, or for
    looking at what was added; None: there is nothing to do, or somebody does it.
    """

    image: Image
    removed: tuple[Location, ...]
    lease: Lease | None


class Stored(NamedTuple):
    """What an upload found out about the bytes it stored."""

    url: str
    metadata: dict[str, object]
    size: int
    virtual_size: int | None
    checksum: str
    os_hash_algo: str
    os_hash_value: str


class Images(Protocol):
    def list(self, ctx: Context, query: Query) -> Page:
        """One page of the images that the caller may see."""
        ...

    def find(self, ctx: Context, image_id: str) -> Image:
        """Load the target of a request. Raises ImageNotFound also when it may not be seen."""
        ...

    def show(self, ctx: Context, image: Image) -> Image: ...

    def create(
        self, ctx: Context, image: Image, allowance: Allowance = NOTHING
    ) -> Image:
        """Record a proposed image (status queued, version 0).

        ``allowance`` is what the image's owner may have, here and in what follows; the
        quota ring finds it out, and without it there is room for nothing. Raises
        ImageIdTaken, ProjectLimit.
        """
        ...

    def update(
        self,
        ctx: Context,
        image: Image,
        changes: Sequence[Change],
        allowance: Allowance = NOTHING,
    ) -> Image:
        """Apply changes to the image as it was loaded; all or none.

        Bytes at locations that are added count against ``allowance``, the owner's. Raises
        ImageChanged when the row is no longer ``image``: load it and try again.
        """
        ...

    def delete(self, ctx: Context, image: Image) -> None:
        """Remove the image and its bytes. Raises ImageProtected, KeyInUse."""
        ...

    def upload(
        self,
        ctx: Context,
        image: Image,
        data: Reader,
        size: int | None,
        store: str | None,
        allowance: Allowance = NOTHING,
    ) -> None:
        """Store the bytes of a queued image and make it active.

        ``size`` in bytes as announced, None if unknown; ``store`` an id, None for the
        default. After any error the image is queued again and no bytes are left.
        Room is reserved before the bytes come: all of a known size, else more and more.
        """
        ...

    def download(
        self,
        ctx: Context,
        image: Image,
        start: int,
        stop: int | None,
        prefer: Sequence[str],
        *,
        may_redirect: bool = False,
    ) -> Download | Redirect:
        """Open the bytes ``start`` to ``stop`` (half-open; None: to the end).

        With ``may_redirect`` the answer may be where to get them instead; all of them,
        ``start`` and ``stop`` are then the client's to ask for. Never otherwise.
        Raises NoData, ImageDeactivated.
        """
        ...

    def remove_copy(self, ctx: Context, image: Image, store: str) -> None:
        """Remove the copy of an active image that lies in ``store``.

        Raises ImageUnfinished, ImageLeased, LastCopy, CopyNotFound, KeyInUse.
        """
        ...

    def deactivate(self, ctx: Context, image: Image) -> None: ...

    def reactivate(self, ctx: Context, image: Image) -> None: ...

    def add_tag(self, ctx: Context, image: Image, tag: str) -> None: ...

    def remove_tag(self, ctx: Context, image: Image, tag: str) -> None:
        """Raises TagNotFound."""
        ...

    # --- for work that no request asks for ---

    def copy(
        self, ctx: Context, image: Image, store: str, allowance: Allowance = NOTHING
    ) -> None:
        """Write a copy of a finished image into ``store``, if it is as it was uploaded.

        Raises CopyExists, ImageBusy, ImageLeased, NoData, ContentChanged, ImageGone,
        ProjectLimit, StoreUnknown, StoreReadOnly, and what the stores raise; after any
        of them no bytes are left there.
        """
        ...

    def replace_copy(self, ctx: Context, image: Image, bad: Location) -> None:
        """Write a bad copy again from another one, in the same store.

        Its bytes go first, for most stores have one place for an image; its row stays, and
        says that they are to be there. Raises LastCopy, CopyNotFound, KeyInUse, and as
        ``copy``.
        """
        ...

    def drop_copy(self, ctx: Context, image: Image, store: str) -> None:
        """As ``remove_copy``, of a deactivated image, too: for work of no request's."""
        ...

    # --- inner: only for the rings within ---

    def claim(
        self,
        ctx: Context,
        image: Image,
        store: str,
        size: int | None,
        allowance: Allowance = NOTHING,
    ) -> Lease:
        """queued → saving, with a lease and room for ``size`` bytes; None: for none yet.

        Raises FormatsMissing, ImageBusy, ImageNotFound, ProjectLimit; ImageChanged if
        the formats or the owner of the row are no longer those of ``image``.
        """
        ...

    def grow(
        self, lease: Lease, need: int, wish: int, allowance: Allowance = NOTHING
    ) -> int:
        """Reserve up to ``wish`` bytes more, or what is left; return how many.

        Raises ProjectLimit if not even ``need`` are left, LeaseLost.
        """
        ...

    def holds(self, lease: Lease) -> None:
        """Raise LeaseLost or ImageGone if the bytes are no longer wanted; asks no database."""
        ...

    def confirm(self, lease: Lease) -> None:
        """As ``holds``, and raise LeaseLost unless the lease is ours at this moment."""
        ...

    def attach(self, ctx: Context, lease: Lease, stored: Stored) -> Image:
        """saving → active with these bytes. Raises ImageGone, LeaseLost."""
        ...

    def release(self, lease: Lease) -> None:
        """End a lease after the bytes it stood for are gone: an upload's image is queued.

        Ends a deletion that came meanwhile.

        Never raises: what the database does not take now, housekeeping finishes.
        """
        ...

    def abandon(self, lease: Lease) -> None:
        """Leave bytes and row to housekeeping: it is not known how far they got."""
        ...

    def relocate(
        self,
        ctx: Context,
        image: Image,
        changes: Sequence[Change],
        purpose: str | None,
        allowance: Allowance = NOTHING,
    ) -> Relocated:
        """As ``update``, with changes of locations, whose stores and sizes are known.

        ``purpose`` is that of the lease which is needed then (domain/lease.py).
        """
        ...

    def doom(self, ctx: Context, image: Image) -> Doomed | None:
        """Hide an image that is to be deleted; None if no store holds bytes of it now.

        Raises ImageProtected, ImageNotFound.
        """
        ...

    def spare(self, doomed: Doomed) -> None:
        """Undo ``doom``: no store would let go of the bytes."""
        ...

    def bury(self, doomed: Doomed) -> None:
        """Remove the rows of a doomed image; its id stays taken for ever."""
        ...

    def claim_copy(
        self, ctx: Context, image: Image, store: str, allowance: Allowance = NOTHING
    ) -> Lease:
        """Take the right to write a copy of a finished image into ``store``, and room.

        Raises ImageUnfinished, ImageLeased, CopyExists, ImageNotFound, ProjectLimit.
        """
        ...

    def claim_anew(self, ctx: Context, image: Image, copy: Location) -> Lease:
        """Take the right to write one of several copies again; its row stays meanwhile.

        Raises ImageUnfinished, ImageLeased, ImageNotFound, CopyNotFound, LastCopy.
        """
        ...

    def attach_copy(
        self, lease: Lease, copy: Location, instead: Location | None = None
    ) -> None:
        """Make a written copy one of the image's, in the place of ``instead`` if given.

        Raises ImageGone, LeaseLost.
        """
        ...

    def doom_copy(self, ctx: Context, image: Image, copy: Location) -> Lease | None:
        """Hide one of several copies, whose bytes are to be removed.

        None: somebody is looking at the image's locations, and will remove them. Raises
        ImageUnfinished, ImageLeased, ImageNotFound, CopyNotFound, LastCopy.
        """
        ...

    def spare_copy(self, lease: Lease) -> None:
        """Undo ``doom_copy``: the store does not let go of the bytes."""
        ...

    def bury_copy(self, lease: Lease) -> None:
        """Remove the row of a hidden copy whose bytes are gone."""
        ...


class Locations(Protocol):
    """Where one image's bytes lie; ``image`` is the target of every operation."""

    def list(self, ctx: Context, image: Image) -> tuple[Location, ...]: ...

    def add(self, ctx: Context, image: Image, proposal: Proposal) -> None:
        """Let a queued image have the bytes that lie at a location.

        Whether there are any, and which, is found out in the background: if they are not
        as proposed, the image is queued again. Raises ImageBusy, ImageLeased,
        LocationRefused, LocationForServices, SignatureUnread, OutboundRefused,
        BadRequest.
        """
        ...


class Members(Protocol):
    """Members of one image; ``image`` is the target of every operation."""

    def list(self, ctx: Context, image: Image) -> list[Member]: ...

    def show(self, ctx: Context, image: Image, member_id: str) -> Member: ...

    def add(self, ctx: Context, image: Image, member_id: str) -> Member:
        """Raises MemberExists, NotShared."""
        ...

    def change(
        self, ctx: Context, image: Image, member_id: str, status: str
    ) -> Member: ...

    def remove(self, ctx: Context, image: Image, member_id: str) -> None: ...


class Use(NamedTuple):
    """How much of a limit is used, in its published unit; a limit of -1 is none."""

    usage: int
    limit: int


class Usage(Protocol):
    """What the caller's project uses of its unified limits; nothing if they are off."""

    def show(self, ctx: Context, target: None) -> Mapping[str, Use]:
        """By the limits' registered names. Raises LimitsUnknown."""
        ...

    def room(self, ctx: Context, target: None, size: int | None) -> None:
        """Raise ProjectLimit if ``size`` bytes are evidently too many for the project.

        A look ahead that takes nothing; None: it is not known how many come. Raises
        LimitsUnknown.
        """
        ...
