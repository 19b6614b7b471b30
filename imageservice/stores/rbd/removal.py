"""Removing images from the pool. All of this runs in native threads."""

import contextlib
from typing import Any

from imageservice import errors
from imageservice.stores.rbd import names
from imageservice.stores.rbd.cluster import Cluster, Session

FEW = 3
"""Clones that a refusal names; there may be thousands."""


def remove(cluster: Cluster, name: str, key: str) -> None:
    """Remove an image with its snapshot ``snap``; with other snapshots, into the trash.

    Nothing has changed after KeyInUse because of clones. Raises KeyNotFound, KeyInUse,
    StoreUnavailable, StoreDenied.
    """
    session = cluster.session()
    rbd = cluster.rbd
    with cluster.translated(key):
        with contextlib.closing(rbd.Image(session.pool, name)) as image:
            if len(list(image.watchers_list())) > 1:  # one of them is this handle
                raise in_use(cluster, key, "somebody has it open for writing")
            _remove_snapshot(cluster, image, key)
        try:
            rbd.RBD().remove(session.pool, name)
        except rbd.ImageHasSnapshots:
            rbd.RBD().trash_move(session.pool, name, 0)
        except rbd.ImageBusy as error:
            reason = "somebody has it open for writing"
            raise in_use(cluster, key, reason) from error
        except rbd.ImageNotFound:
            # A full cluster says so too, of images that are there.
            if name in rbd.RBD().list(session.pool):
                raise cluster.unavailable("an image could not be removed") from None


def _remove_snapshot(cluster: Cluster, image: Any, key: str) -> None:
    if names.SNAPSHOT not in {snapshot["name"] for snapshot in image.list_snaps()}:
        return
    # Somebody else may be removing it too: then the image will turn out to be gone.
    with contextlib.suppress(cluster.rbd.ImageNotFound):
        if image.is_protected_snap(names.SNAPSHOT):
            try:
                image.unprotect_snap(names.SNAPSHOT)
            except cluster.rbd.ImageBusy as error:
                raise in_use(cluster, key, _clones(cluster, image)) from error
        image.remove_snap(names.SNAPSHOT)


def _clones(cluster: Cluster, image: Any) -> str:
    try:
        image.set_snap(names.SNAPSHOT)
        found = [f"{pool}/{name}" for pool, name in image.list_children()]
    except cluster.rbd.Error:  # a pool that our user must not list
        found = []
    if not found:
        return "there are clones of it"
    more = f" and {len(found) - FEW} more" if len(found) > FEW else ""
    return f"it has clones: {', '.join(found[:FEW])}{more}"


def in_use(cluster: Cluster, key: str, reason: str) -> errors.KeyInUse:
    return errors.KeyInUse(store=cluster.store, key=key, reason=reason)


def fence(cluster: Cluster, session: Session, name: str) -> str:
    """Take its name from a write, which then cannot publish; returns the new name."""
    if names.is_fenced(name):
        return name
    other = names.fenced(name)
    with contextlib.suppress(cluster.rbd.ImageNotFound):  # it was published, or removed
        cluster.rbd.RBD().rename(session.pool, name, other)
    return other
