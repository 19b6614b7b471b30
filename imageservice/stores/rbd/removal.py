"""Removing images from the pool. All of this runs in native threads."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from imageservice import errors
from imageservice.stores.rbd import gate, names
from imageservice.stores.rbd.cluster import FULL, Cluster, Session

FEW = 3
"""Clones that a refusal names; there may be thousands."""

TRASH = "rbd_trash"
"""The object in which librbd lists the trash. Every image goes through that at its end."""

TRASH_OPTION = "rbd_move_to_trash_on_remove"


def prepare(cluster: Cluster, session: Session) -> None:
    """Make the objects that a full cluster could not make, and needs to remove an image.

    Without TRASH a full cluster says of an image that is there that it is not found.
    """
    for name in (TRASH, gate.OBJECT):
        with cluster.rados.WriteOpCtx() as operation:
            operation.new(cluster.rados.LIBRADOS_CREATE_IDEMPOTENT)
            session.pool.operate_write_op(operation, name)


def remove(cluster: Cluster, name: str, key: str) -> None:
    """Remove a finished image; into the trash if Ceph is set up so, or it has snapshots of others.

    Raises KeyNotFound; KeyInUse, StoreUnavailable, StoreDenied if all is as before;
    RemainsLeft if it has gone, or may have, in part.
    """
    session = cluster.session()
    freed = False  # of its snapshot, without which it is no image of ours
    try:
        with cluster.translated(key):
            # What is not found may still lie in the trash, if a removal was broken off.
            with contextlib.suppress(cluster.rbd.ImageNotFound):
                freed = _freed(cluster, session, name, key)
            _take_away(cluster, session, name, key)
    except errors.KeyInUse as error:
        if freed:
            _snap_again(cluster, session, name, error)
        raise
    except (errors.StoreDenied, errors.StoreUnavailable, errors.StoreFull) as error:
        if freed:
            raise _remains(cluster) from error
        raise


def _freed(cluster: Cluster, session: Session, name: str, key: str) -> bool:
    with (
        _not_busy(cluster, key),
        contextlib.closing(cluster.rbd.Image(session.pool, name)) as image,
    ):
        return _free(cluster, image, key)


def _take_away(cluster: Cluster, session: Session, name: str, key: str) -> None:
    rbd = cluster.rbd
    try:
        with _not_busy(cluster, key), _begun(cluster):
            rbd.RBD().remove(session.pool, name)
    except rbd.ImageHasSnapshots:
        rbd.RBD().trash_move(session.pool, name, 0)
    except rbd.ImageNotFound:
        # A full cluster may say so of an image that is there.
        if name in rbd.RBD().list(session.pool):
            raise cluster.unavailable("an image could not be removed") from None
        raise


def _snap_again(
    cluster: Cluster, session: Session, name: str, refusal: errors.KeyInUse
) -> None:
    """Undo ``_free``: somebody has opened the image since. Raises RemainsLeft."""
    try:
        with (
            cluster.translated(name),
            contextlib.closing(cluster.rbd.Image(session.pool, name)) as image,
        ):
            image.create_snap(names.SNAPSHOT)
            image.protect_snap(names.SNAPSHOT)
    except errors.Error:
        raise _remains(cluster) from refusal


@contextlib.contextmanager
def _begun(cluster: Cluster) -> Iterator[None]:
    """Raise RemainsLeft for what may have been done though it failed: all but refusals."""
    rbd = cluster.rbd
    try:
        yield
    except (
        rbd.ImageNotFound,
        rbd.ImageBusy,
        rbd.ImageHasSnapshots,
        rbd.PermissionError,
    ):
        raise
    except (TimeoutError, rbd.Error) as error:
        raise _remains(cluster) from error


def _remains(cluster: Cluster) -> errors.RemainsLeft:
    reason = "nobody knows how much of the data is gone"
    return errors.RemainsLeft(store=cluster.store, reason=reason)


def destroy(cluster: Cluster, name: str, key: str) -> None:
    """Remove what was being written, for good. Raises as ``remove`` does."""
    session = cluster.session()
    rbd = cluster.rbd
    with cluster.translated(key), _not_busy(cluster, key):
        try:
            with contextlib.closing(rbd.Image(session.pool, name)) as image:
                _free(cluster, image, key)
            rbd.RBD().trash_move(session.pool, name, 0)
        except rbd.ImageNotFound:
            if name not in _trashed(cluster, session):
                raise
        for number in _trashed(cluster, session).get(name, ()):
            # Somebody else may be at it too.
            with contextlib.suppress(rbd.ImageNotFound):
                rbd.RBD().trash_remove(session.pool, number, force=True)


class Objects(NamedTuple):
    """Where the data of an image lies; ``pool`` is a pool's number."""

    header: str
    prefix: str
    pool: int


def objects(image: Any) -> Objects:
    return Objects(
        f"rbd_header.{image.id()}", image.block_name_prefix(), image.data_pool_id()
    )


def sweep(cluster: Cluster, found: Objects, count: int) -> None:
    """Remove what writes made that came after the image itself had been removed.

    They may have made any of the first ``count`` objects; the last ones most likely.
    """
    session = cluster.session()
    missing = cluster.rados.ObjectNotFound
    with cluster.translated():
        try:
            session.pool.stat(found.header)
        except missing:
            pass
        else:
            return  # the image is there, under whatever name
        with contextlib.closing(session.rados.open_ioctx2(found.pool)) as pool:
            pool.set_osdmap_full_try()
            for number in reversed(range(count)):
                with contextlib.suppress(missing):
                    pool.remove_object(f"{found.prefix}.{number:016x}")


def names_in(cluster: Cluster, session: Session) -> list[str]:
    """Names of the images in the pool, and of those in its trash."""
    return [*cluster.rbd.RBD().list(session.pool), *_trashed(cluster, session)]


def _trashed(cluster: Cluster, session: Session) -> dict[str, list[str]]:
    """Ids of the images in the trash by the names that they had."""
    found: dict[str, list[str]] = {}
    for entry in cluster.rbd.RBD().trash_list(session.pool):
        found.setdefault(entry["name"], []).append(entry["id"])
    return found


@contextlib.contextmanager
def _not_busy(cluster: Cluster, key: str) -> Iterator[None]:
    try:
        yield
    except cluster.rbd.ImageBusy as error:
        raise in_use(cluster, key, OPEN) from error


OPEN = "somebody has it open for writing"


def _free(cluster: Cluster, image: Any, key: str) -> bool:
    """Remove the snapshot ``snap``; False if there is none.

    Raises KeyInUse, and has then changed nothing.
    """
    if len(list(image.watchers_list())) > 1:  # one of them is this handle
        raise in_use(cluster, key, OPEN)
    if names.SNAPSHOT not in {snapshot["name"] for snapshot in image.list_snaps()}:
        return False
    # Somebody else may be removing it too: then the image will turn out to be gone.
    with contextlib.suppress(cluster.rbd.ImageNotFound):
        clones = _clones(cluster, image)
        # Clones of the second form can live on images in the trash.
        may_stay = clones == [] or _keeps_trash(image)
        if clones and not may_stay:
            raise in_use(cluster, key, _told(clones))
        if image.is_protected_snap(names.SNAPSHOT):
            _unprotect(cluster, image, key, clones)
        if not may_stay:
            image.protect_snap(names.SNAPSHOT)
            raise in_use(cluster, key, _told(clones))
        with _begun(cluster):
            image.remove_snap(names.SNAPSHOT)
    return True


def _unprotect(
    cluster: Cluster, image: Any, key: str, clones: list[str] | None
) -> None:
    """Raises KeyInUse, StoreUnavailable if all is as before, RemainsLeft if it may not be."""
    rbd = cluster.rbd
    try:
        image.unprotect_snap(names.SNAPSHOT)
    except rbd.ImageBusy as error:
        raise in_use(cluster, key, _told(clones)) from error
    except rbd.Error:
        # It may have been obeyed all the same.
        with _begun(cluster), contextlib.suppress(rbd.ImageBusy):  # is protected
            image.protect_snap(names.SNAPSHOT)
        raise


def _clones(cluster: Cluster, image: Any) -> list[str] | None:
    """Pool and name of each; None if one lies in a pool that our user must not list."""
    image.set_snap(names.SNAPSHOT)
    try:
        return [f"{found['pool']}/{found['image']}" for found in image.list_children2()]
    except cluster.rbd.PermissionError:
        return None
    finally:
        image.set_snap(None)


def _keeps_trash(image: Any) -> bool:
    """Whether Ceph is set up, for all or for this pool or image, to keep what is removed."""
    return any(
        option["name"] == TRASH_OPTION and option["value"] == "true"
        for option in image.config_list()
    )


def _told(clones: list[str] | None) -> str:
    if not clones:
        return "there are clones of it"
    more = f" and {len(clones) - FEW} more" if len(clones) > FEW else ""
    return f"it has clones: {', '.join(clones[:FEW])}{more}"


def in_use(cluster: Cluster, key: str, reason: str) -> errors.KeyInUse:
    return errors.KeyInUse(store=cluster.store, key=key, reason=reason)


def fence(cluster: Cluster, session: Session, name: str) -> str:
    """Take its name from a write, which then cannot publish; returns the new name.

    A full cluster lets nobody rename, its writer included: then the name stays.
    """
    if names.is_fenced(name):
        return name
    other = names.fenced(name)
    try:
        cluster.rbd.RBD().rename(session.pool, name, other)
    except cluster.rbd.ImageNotFound:  # it was published, removed, or is in the trash
        return name
    except cluster.rbd.OSError as error:
        if error.errno not in FULL:
            raise
        return name
    return other
